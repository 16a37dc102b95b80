/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <stdio.h>

#include "cli/options.h"

enum { COLUMN = 32 };

/* "  -v, --verbosity[=LEVEL]" */
static int write_form(const struct option *option, char *form, size_t size)
{
	const char *argument = option->argument;
	int used = option->letter
			   ? snprintf(form, size, "  -%c, --%s", option->letter, option->name)
			   : snprintf(form, size, "      --%s", option->name);

	if (argument && argument[0] == '[')
		used += snprintf(form + used, size - used, "[=%s", argument + 1);
	else if (argument)
		used += snprintf(form + used, size - used, " %s", argument);
	return used;
}

static void print_option(const struct option *option)
{
	char form[80];

	if (write_form(option, form, sizeof(form)) < COLUMN)
		printf("%-*s%s\n", COLUMN, form, option->help);
	else
		printf("%s\n%*s%s\n", form, COLUMN, "", option->help);
}

static void print_command(const struct command_row *row)
{
	printf("Usage: stasis %s%s%s\n\n%c%s.\n\nOptions:\n", row->name, *row->usage ? " " : "",
	       row->usage, toupper((unsigned char)row->help[0]), row->help + 1);
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].commands & row->command && !option_table[i].capability)
			print_option(&option_table[i]);
}

static void print_program(void)
{
	printf("Usage: stasis COMMAND [OPTIONS] [ARGUMENTS]\n\n"
	       "Freezes a running application, stores it in files, and brings it back.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < command_count; i++)
		if (!command_table[i].capability)
			printf("  %-10s %s\n", command_table[i].name, command_table[i].help);
	printf("\nOf any command:\n");
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].commands == ~0u && !option_table[i].capability)
			print_option(&option_table[i]);
	printf("\nA flag is taken back by --no-FLAG.  'stasis COMMAND --help' lists a command's "
	       "options;\nthe manual page stasis(1) has all, with CRIU's that are not supported "
	       "yet.\n");
}

void help_print(const struct options *options)
{
	const struct command_row *row = command_find(options->command);

	if (row)
		print_command(row);
	else
		print_program();
}
