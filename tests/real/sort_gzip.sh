#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# sort with temporary files, and gzip, both in the middle of a large file.
awk 'BEGIN { for (i = 0; i < 900000; i++) { x = (x * 1103515245 + 12345) % 2147483648;
	printf "%d some words to sort %d\n", x, i } }' > numbers
sort -S 4M -T . -n numbers > sorted
gzip -9n < sorted > sorted.gz
{ gzip -dc sorted.gz | sha256sum; sha256sum < sorted.gz; wc -c < sorted; } > output
