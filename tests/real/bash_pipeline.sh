#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Pipelines, process substitution, background jobs, here documents, traps.
ticks=0
trap 'ticks=$((ticks + 1))' USR1
(
	for i in 1 2 3 4 5; do
		sleep 0.3
		kill -USR1 $$
	done
) &
ticker=$!
seq 1 1500000 | sed 's/7/seven/g' | grep -v 13 | awk '{ n += length($0) } END { print n }' > sum &
sum=$!
while read -r line; do
	total=$((total + ${#line}))
done < <(seq 1 150000 | tr 0-9 a-j)
diff <(seq 1 2 200000) <(seq 1 3 200000) | cksum > diff.sum
wait $sum
until wait $ticker; do :; done
cat > output << END
total $total
ticks $ticks
sum $(cat sum)
diff $(cat diff.sum)
END
