#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A parallel build with make and gcc; the program must come out the same, bit for bit.
export TMPDIR=.
files=
for i in 1 2 3 4; do
	awk -v file=$i 'BEGIN {
		for (i = 0; i < 120; i++)
			printf "int f%d_%d(int x) { int s = %d; for (int i = 0; i < x; i++) " \
			       "s = s * 31 + (i ^ (s >> %d)); return s %% 1000003; }\n",
			       file, i, i, i % 13 + 1
		printf "int g%d(int x) {\n", file
		for (i = 0; i < 120; i++)
			printf "x += f%d_%d(x & 63);\n", file, i
		print "return x; }"
	}' > part$i.c
	files="$files part$i.o"
done
printf 'int printf(const char *, ...);\nint g1(int), g2(int), g3(int), g4(int);\n' > main.c
printf 'int main(void) { return printf("%%d\\n", g4(g3(g2(g1(42))))) < 0; }\n' >> main.c
printf 'program: main.o%s\n\t$(CC) -o $@ $^\n%%.o: %%.c\n\t$(CC) -O2 -c -o $@ $<\n' "$files" > Makefile
make -s -j3 program && { ./program; sha256sum program main.o part?.o; } > output
