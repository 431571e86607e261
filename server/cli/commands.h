/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "../control/config.h"

/* The subcommands, one file each. They get the arguments from their own name on (argv[0] is "check") and return the
 * exit status. main.c has the table of them; options.h reads their arguments. */

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1, /* at run time */
    EXIT_USAGE = 2,  /* wrong use or wrong configuration */
};

#define DEFAULT_CONFIG "/etc/weir/weir.yaml"

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_pki(int argc, char **argv);
int cmd_drain(int argc, char **argv);
int cmd_enable(int argc, char **argv);
int cmd_disable(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* Writes each error and warning to standard error, a line each. */
void print_config_errors(const struct config_errors *errors);

#endif
