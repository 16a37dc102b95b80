#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Pipelines, process substitution, background jobs, here documents, a FIFO, traps.
ticks=0
mkfifo answers
exec 5<> answers
trap 'ticks=$((ticks + 1)); echo $ticks >&5' USR1
# Each signal is answered before the next one is sent, so none is lost in another.
(
	trap - USR1
	for i in 1 2 3 4 5; do
		sleep 0.3
		kill -USR1 $$
		read -r answer <&5
		echo "$answer"
	done > answered
) &
ticker=$!
seq 1 1500000 | sed 's/7/seven/g' | grep -v 13 | awk '{ n += length($0) } END { print n }' > sum &
sum=$!
while read -r line; do
	total=$((total + ${#line}))
done < <(seq 1 150000 | tr 0-9 a-j)
diff <(seq 1 2 200000) <(seq 1 3 200000) | cksum > diff.sum
# A trap ends a wait: there are none left when it is waited for the jobs.
until test $ticks = 5; do
	sleep 0.1
done
wait $ticker
wait $sum
cat > output << END
total $total
ticks $ticks, answered $(echo $(cat answered))
sum $(cat sum)
diff $(cat diff.sum)
END
