# SPDX-License-Identifier: GPL-2.0-or-later
# Forks, pipes, signal handlers, regular expressions, big hashes.
use strict;
use warnings;

my %words;
my $alarms = 0;
my @pids;
local $SIG{ALRM} = sub { $alarms++; alarm 1 };
alarm 1;
pipe(my $reader, my $writer) or die;
for my $job (1 .. 3) {
	my $pid = fork // die;
	if (!$pid) {
		close $reader;
		my $sum = 0;
		for my $i (1 .. 900_000) {
			$sum = ($sum * 31 + $i * $job) % 1_000_003;
		}
		print $writer "$job $sum\n";
		exit $job;
	}
	push @pids, $pid;
}
close $writer;
my $text = '';
for my $i (1 .. 400_000) {
	my $word = sprintf "%x", ($i * 2654435761) & 0xfffff;
	$words{$word}++;
	$text .= $word if $word =~ /^(..)\1/;
}
my @lines = sort <$reader>;
# An alarm interrupts a wait.
my @codes = map { my $pid = $_; 1 while waitpid($pid, 0) != $pid && $!{EINTR}; $? >> 8 } @pids;
select undef, undef, undef, 0.1 until $alarms >= 2;
alarm 0;
open my $output, '>', 'output' or die;
print $output @lines, "@codes\n", scalar(keys %words), ' ', length $text, "\n";
