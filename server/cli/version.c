/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include <weir/loop.h>

#include "commands.h"
#include "options.h"

/* What `io: auto` would take on this machine. */
static void print_io(void)
{
    struct weir_loop *loop = NULL;

    if (weir_loop_new(NULL, &loop) != 0) {
        printf("no I/O");
        return;
    }
    const char *reason = weir_loop_fallback_reason(loop);
    printf("%s%s%s", weir_loop_backend_name(loop), reason == NULL ? "" : ": ", reason == NULL ? "" : reason);
    weir_loop_free(&loop);
}

int cmd_version(int argc, char **argv)
{
    static const char about[] = "Prints the version, and the kind of I/O that this machine allows.\n";
    static const struct cli_page page = { "version", "", about, NULL, 0, 0 };
    int status = cli_read(&page, argc, argv);

    if (status != CLI_GO_ON)
        return status;
    printf("weir " WEIR_VERSION " (");
    print_io();
    printf(")\n");
    return EXIT_OK;
}
