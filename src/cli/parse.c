/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading options, from the command line and from configuration files.  Both become a list of
 * settings first, because what weighs less has to be applied earlier, and because options may
 * come before the command that says which of them have a meaning.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/report.h"
#include "cli/config.h"
#include "cli/options.h"
#include "cli/suggest.h"

struct setting {
	const struct option *option;
	const char *value; /* NULL: none */
	const char *file;  /* NULL: the command line */
	unsigned int line;
	bool negated;
};

struct parse {
	struct options *options;
	ARRAY(struct setting) files, line; /* from configuration files; from the command line */
	ARRAY(char *) words;               /* of the command line, that are no options */
	bool default_config;
	const char *config; /* --config */
	int error;
};

/* ---- names -------------------------------------------------------------------------------- */

/* "--ghost-limit 3x", "-t x" is said the same way; "/etc/x.conf:3: ghost-limit 3x". */
static struct subject setting_subject(const struct setting *setting)
{
	const char *no = setting->negated ? "no-" : "", *name = setting->option->name;
	const char *value = setting->value ? setting->value : "";
	const char *space = setting->value ? " " : "";

	if (setting->file)
		return SUBJECT("%s:%u: %s%s%s%s", setting->file, setting->line, no, name, space,
			       value);
	return SUBJECT("--%s%s%s%s", no, name, space, value);
}

static const char *option_name(size_t index)
{
	return index < option_count ? option_table[index].name : NULL;
}

static const char *command_name(size_t index)
{
	return index < command_count ? command_table[index].name : NULL;
}

/* The option of this name, or of the only one that begins so (command line). */
static const struct option *find_long(const char *name, size_t length, bool abbreviated)
{
	const struct option *found = NULL;

	for (size_t i = 0; i < option_count; i++) {
		const struct option *option = &option_table[i];

		if (strncmp(option->name, name, length) != 0)
			continue;
		if (!option->name[length])
			return option;
		if (!abbreviated)
			continue;
		if (found)
			return NULL;
		found = option;
	}
	return length ? found : NULL;
}

static const struct option *find_short(char letter)
{
	for (size_t i = 0; i < option_count; i++)
		if (option_table[i].letter == letter)
			return &option_table[i];
	return NULL;
}

/* Finds what `name` sets; --no-NAME takes a flag back. */
static bool resolve(const char *name, size_t length, bool abbreviated, struct setting *setting)
{
	setting->option = find_long(name, length, abbreviated);
	if (setting->option || length <= 3 || strncmp(name, "no-", 3) != 0)
		return setting->option;
	setting->option = find_long(name + 3, length - 3, abbreviated);
	setting->negated = true;
	return setting->option && !setting->option->argument;
}

static bool takes_value(const struct option *option)
{
	return option->argument;
}

static bool needs_value(const struct option *option)
{
	return option->argument && option->argument[0] != '[';
}

static void fail_unknown(struct parse *parse, struct subject subject, const char *name)
{
	char near[SUGGEST_SIZE];

	suggest(name, option_name, "--", near);
	parse->error = FAIL(EINVAL, subject, *near ? near : "stasis --help lists the options",
			    "no such option");
}

static void fail_value(struct parse *parse, const struct setting *setting, const char *reason)
{
	parse->error = FAIL(EINVAL, setting_subject(setting),
			    "stasis --help shows what options take", "%s", reason);
}

/* ---- the command line --------------------------------------------------------------------- */

/* What has to be known before configuration files are read. */
static void note_config(struct parse *parse, const struct setting *setting)
{
	if (strcmp(setting->option->name, "config") == 0)
		parse->config = setting->value;
	else if (strcmp(setting->option->name, "no-default-config") == 0)
		parse->default_config = false;
}

static void add_argument(struct parse *parse, const struct setting *setting)
{
	if (needs_value(setting->option) && !setting->value) {
		fail_value(parse, setting, "needs a value");
	} else if (!takes_value(setting->option) && setting->value) {
		fail_value(parse, setting, "takes no value");
	} else {
		note_config(parse, setting);
		*array_push(&parse->line) = *setting;
	}
}

/* --name, --name=value, --name value.  Returns how many of argv it used. */
static int parse_long(struct parse *parse, char **argv)
{
	const char *name = argv[0] + 2, *equals = strchrnul(name, '=');
	struct setting setting = {.value = *equals ? equals + 1 : NULL};
	int used = 1;

	if (!resolve(name, equals - name, true, &setting)) {
		char *plain = strndup(name, equals - name);

		fail_unknown(parse, SUBJECT("--%s", plain), plain);
		free(plain);
		return 1;
	}
	if (needs_value(setting.option) && !setting.value && argv[1]) {
		setting.value = argv[1];
		used = 2;
	}
	add_argument(parse, &setting);
	return used;
}

/* -abc, -tPID, -t PID, -v4.  Returns how many of argv it used. */
static int parse_short(struct parse *parse, char **argv)
{
	for (const char *letter = argv[0] + 1; *letter; letter++) {
		struct setting setting = {.option = find_short(*letter)};

		if (!setting.option) {
			parse->error = FAIL(EINVAL, SUBJECT("-%c", *letter),
					    "stasis --help lists the options", "no such option");
			return 1;
		}
		if (!takes_value(setting.option)) {
			add_argument(parse, &setting);
			continue;
		}
		setting.value = letter[1]                     ? letter + 1
				: needs_value(setting.option) ? argv[1]
							      : NULL;
		add_argument(parse, &setting);
		return setting.value && setting.value == argv[1] ? 2 : 1;
	}
	return 1;
}

static void parse_arguments(struct parse *parse, char **argv)
{
	while (*argv) {
		if (strcmp(*argv, "--") == 0) {
			while (*++argv)
				*array_push(&parse->words) = *argv;
		} else if (strncmp(*argv, "--", 2) == 0) {
			argv += parse_long(parse, argv);
		} else if (**argv == '-' && argv[0][1]) {
			argv += parse_short(parse, argv);
		} else {
			*array_push(&parse->words) = *argv++;
		}
	}
}

/* The first word is the command, the others are its arguments. */
static void take_words(struct parse *parse)
{
	struct options *options = parse->options;
	size_t count = parse->words.count;

	*array_push(&parse->words) = NULL;
	char **words = arena_copy(options->arena, parse->words.items,
				  parse->words.count * sizeof(*words));

	array_free(&parse->words);
	options->arguments = words + (count ? 1 : 0);
	options->argument_count = count ? count - 1 : 0;
	options->command = words[0];
	if (count && !command_find(options->command)) {
		char near[SUGGEST_SIZE];

		suggest(options->command, command_name, "", near);
		parse->error =
			FAIL(EINVAL, SUBJECT("%s", options->command),
			     *near ? near : "stasis --help lists the commands", "no such command");
	}
}

/* ---- configuration files ------------------------------------------------------------------ */

static void add_line(struct parse *parse, const struct config_line *line)
{
	struct setting setting = {.value = line->value, .file = line->file, .line = line->number};

	if (!resolve(line->name, strlen(line->name), false, &setting))
		fail_unknown(parse, SUBJECT("%s:%u: %s", line->file, line->number, line->name),
			     line->name);
	else if (needs_value(setting.option) && !setting.value)
		fail_value(parse, &setting, "needs a value");
	else if (!takes_value(setting.option) && setting.value)
		fail_value(parse, &setting, "takes no value");
	else
		*array_push(&parse->files) = setting;
}

/* A file that is not there is an error only when it was named (`required`). */
static void read_config(struct parse *parse, const char *path, bool required)
{
	struct config config;
	struct config_line line;
	int error = config_open(&config, parse->options->arena, path, required);

	while (!error && (error = config_next(&config, &line)) > 0) {
		add_line(parse, &line);
		error = 0;
	}
	if (error && error != -ENOENT)
		parse->error = error;
	else if (error == -ENOENT && required)
		parse->error = error;
}

/* The default places and the environment's, lightest first; --config is the heaviest. */
static void read_configs(struct parse *parse)
{
	bool criu = parse->options->as_criu;
	const char *home = getenv("HOME");
	const char *named = getenv(criu ? "CRIU_CONFIG_FILE" : "STASIS_CONFIG_FILE");

	if (parse->default_config) {
		read_config(parse, criu ? "/etc/criu/default.conf" : "/etc/stasis/default.conf",
			    false);
		if (home && *home) {
			read_config(parse,
				    arena_printf(parse->options->arena, "%s/.%s/default.conf", home,
						 criu ? "criu" : "stasis"),
				    false);
		}
	}
	if (named && *named)
		read_config(parse, named, true);
	if (parse->config)
		read_config(parse, parse->config, true);
}

/* ---- all together ------------------------------------------------------------------------- */

/* A refused option asks for nothing when it is taken back, or for what is done anyway. */
static bool is_harmless(const struct setting *setting)
{
	const char *harmless = setting->option->harmless;

	return setting->negated ||
	       (harmless && setting->value && !strcmp(setting->value, harmless));
}

static void apply(struct parse *parse, const struct setting *setting)
{
	const struct option *option = setting->option;
	const char *wrong;

	if (option->capability) {
		if (!is_harmless(setting))
			parse->error =
				REFUSE(setting_subject(setting),
				       "leave the option out; what would need it is refused by "
				       "name when it is met",
				       "%s are not supported yet", option->capability);
		return;
	}
	if (option->moot) {
		log_warn("%s changes nothing: %s", setting_subject(setting).text, option->moot);
		return;
	}
	wrong = option->set(parse->options, option, setting->value, setting->negated);
	if (wrong)
		fail_value(parse, setting, wrong);
}

/* Configuration files are for all commands; on the command line it is likely a mistake. */
static bool has_meaning(const struct parse *parse, const struct setting *setting)
{
	const struct command_row *row = command_find(parse->options->command);

	if (!row || setting->option->commands & row->command)
		return true;
	if (!setting->file) {
		log_warn("%s has no meaning for %s", setting_subject(setting).text, row->name);
		fprintf(stderr, "stasis: warning: %s has no meaning for %s\n",
			setting_subject(setting).text, row->name);
	}
	return false;
}

int options_parse(struct options *options, int argc, char **argv)
{
	struct parse parse = {.options = options, .default_config = true};
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;

	options_init(options);
	options->as_criu = argc && strcmp(slash ? slash + 1 : argv[0], "criu") == 0;
	parse_arguments(&parse, argc ? argv + 1 : argv);
	take_words(&parse);
	read_configs(&parse);
	array_each (&parse.files, setting)
		if (has_meaning(&parse, setting))
			apply(&parse, setting);
	array_each (&parse.line, setting)
		if (has_meaning(&parse, setting))
			apply(&parse, setting);
	array_free(&parse.files);
	array_free(&parse.line);
	return parse.error;
}
