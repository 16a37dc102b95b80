/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/parallel.h"

enum { COUNT = 1001, FAILING = 500 };

struct work {
	atomic_int seen[COUNT];
	size_t last[PARALLEL_MOST]; /* index, of each lane */
	atomic_bool busy[PARALLEL_MOST];
	atomic_bool wrong; /* assertions are for the main thread */
	int error;
};

static int look(void *context, size_t index, unsigned int lane)
{
	struct work *work = context;

	if (lane >= PARALLEL_MOST || atomic_exchange(&work->busy[lane], true) ||
	    index < work->last[lane])
		work->wrong = true;
	work->last[lane] = index;
	work->seen[index]++;
	work->busy[lane] = false;
	return index == FAILING ? work->error : 0;
}

static void each_comes_once(void **state)
{
	for (size_t count = 0; count <= COUNT; count += count < 10 ? 1 : 991) {
		struct work work = {.error = 0};

		assert_int_equal(parallel_each(count, look, &work), 0);
		for (size_t i = 0; i < COUNT; i++)
			assert_int_equal(work.seen[i], i < count);
		assert_false(work.wrong);
	}
}

static void an_error_is_the_result(void **state)
{
	struct work work = {.error = -5};

	assert_int_equal(parallel_each(COUNT, look, &work), -5);
	assert_int_equal(work.seen[FAILING], 1);
	assert_false(work.wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_comes_once),
		cmocka_unit_test(an_error_is_the_result),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
