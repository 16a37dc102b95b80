/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fd.h"
#include "fuzz.h"

/*
 * usage: fuzz_X [-n ITERATIONS] [-s SEED] [-t SECONDS] [FILE...]
 *
 * Without files: first every seed as it is, then mutations of random seeds.  With files, which is
 * how a crash is looked at, only them.  An input that crashes is left in fuzz-crash.
 */
enum { LARGEST = 1 << 20, LONGEST_RUN = 10 /* seconds for one input */ };

struct input {
	uint8_t *data;
	size_t size;
};

static ARRAY(struct input) seeds;
static struct input current;

static void add_seed(const void *data, size_t size)
{
	struct input *seed = array_push(&seeds);

	seed->data = malloc(size + 1);
	memcpy(seed->data, data, size);
	seed->size = size;
}

static void crashed(int signal)
{
	int fd = open("fuzz-crash", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)!write(fd, current.data, current.size);
	(void)!write(STDERR_FILENO, "crashed or hung; see fuzz-crash\n", 32);
	kill(getpid(), signal);
}

static void run(const uint8_t *data, size_t size)
{
	current.data = (uint8_t *)data;
	current.size = size;
	alarm(LONGEST_RUN);
	LLVMFuzzerTestOneInput(data, size);
}

static size_t below(size_t limit)
{
	return limit ? random() % limit : 0;
}

static void mutate_once(uint8_t *data, size_t *size, size_t room)
{
	static const uint32_t interesting[] = {0,          1,          0x7f,       0x80,
					       0xff,       0x7fff,     0xffff,     0x7fffffff,
					       0x80000000, 0xffffffff, 0xfffffff0, 0x1000};
	const struct input *other = &seeds.items[below(seeds.count)];
	size_t at = below(*size), length = below(16);
	uint32_t value = interesting[below(sizeof(interesting) / sizeof(*interesting))];

	switch (below(8)) {
	case 0:
		if (*size)
			data[at] ^= 1 << below(8);
		break;
	case 1:
		if (*size)
			data[at] = random();
		break;
	case 2: /* a number of 4 bytes */
		if (*size >= sizeof(value))
			memcpy(data + below(*size - sizeof(value) + 1), &value, sizeof(value));
		break;
	case 3:
		if (*size)
			data[at] = value;
		break;
	case 4: /* cut off */
		*size = at;
		break;
	case 5: /* taken out */
		if (at + length <= *size) {
			memmove(data + at, data + at + length, *size - at - length);
			*size -= length;
		}
		break;
	case 6: /* doubled */
		if (at + length <= *size && *size + length <= room) {
			memmove(data + at + length, data + at, *size - at);
			*size += length;
		}
		break;
	case 7: /* the rest of another */
		if (at < other->size && other->size <= room) {
			memcpy(data + at, other->data + at, other->size - at);
			*size = other->size;
		}
		break;
	}
}

static void run_file(const char *path)
{
	char *data;
	size_t size;

	if (fd_read_file(AT_FDCWD, path, &data, &size))
		err(1, "%s", path);
	run((uint8_t *)data, size);
	free(data);
}

int main(int argc, char **argv)
{
	unsigned long iterations = 20000, seed = 1, done = 0;
	time_t end = 0;
	int option;

	while ((option = getopt(argc, argv, "n:s:t:")) != -1) {
		if (option == 'n')
			iterations = strtoul(optarg, NULL, 10);
		else if (option == 's')
			seed = strtoul(optarg, NULL, 10);
		else if (option == 't')
			end = time(NULL) + strtol(optarg, NULL, 10);
		else
			return 1;
	}
	srandom(seed);
	static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM};

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i],
			  &(struct sigaction){.sa_handler = crashed, .sa_flags = SA_RESETHAND},
			  NULL);
	for (int i = optind; i < argc; i++)
		run_file(argv[i]);
	if (optind < argc)
		return 0;

	fuzz_seeds(add_seed);
	array_each (&seeds, each)
		run(each->data, each->size);
	for (; done < iterations && (!end || time(NULL) < end); done++) {
		static uint8_t data[LARGEST];
		const struct input *from = &seeds.items[below(seeds.count)];
		size_t size = from->size < LARGEST ? from->size : LARGEST;

		memcpy(data, from->data, size);
		for (size_t times = 1 + below(8); times; times--)
			mutate_once(data, &size, LARGEST);

		/* A copy of its own, so that a sanitizer sees each byte read beyond its end. */
		uint8_t *input = malloc(size + !size);

		memcpy(input, data, size);
		run(input, size);
		free(input);
	}
	printf("%lu inputs from %zu seeds\n", done, seeds.count);
	array_each (&seeds, each)
		free(each->data);
	array_free(&seeds);
	return 0;
}
