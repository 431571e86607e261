/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stddef.h>

#include <jansson.h>

/* Talks to the running balancer through its admin socket: one connection and one answer for each request. */

#define CLIENT_SOCKET_MAX 108
#define CLIENT_ANSWER_MAX ((size_t)256 << 20)
#define CLIENT_WAIT_S 30 /* for the balancer to take or to give something */

struct admin_client {
    const char *command; /* "status", for messages */
    const char *config;  /* -c FILE */
    const char *socket;  /* --socket PATH, or NULL: what the file says */
    char path[CLIENT_SOCKET_MAX];
    char trouble[512]; /* why the last request failed, a sentence */
};

/* The options of a command that asks the balancer: rows of a cli_page's table. */
#define CLIENT_OPTIONS(client)                                                                                         \
    { 'c', "config", "FILE", "the configuration that names the socket (" DEFAULT_CONFIG ")",                           \
      .text = &(client)->config },                                                                                     \
    {                                                                                                                  \
        's', "socket", "PATH", "the balancer's admin socket", .text = &(client)->socket                                \
    }

/* Fills in the path. Returns EXIT_OK, or the exit status, when what is wrong has been said on standard error. */
int client_find(struct admin_client *client);

/* Connects. Returns a descriptor that the caller owns, or -1 with the trouble. */
int client_open(struct admin_client *client);

struct client_answer {
    unsigned status; /* of HTTP */
    char *body;      /* ends with a NUL; free() it */
    size_t size;
};

/* Asks, and waits for the whole answer, whatever its status. `body`: JSON, or NULL. Returns 0, or -1 with the trouble;
 * *ret_answer is then untouched. */
int client_ask(struct admin_client *client, const char *method, const char *path, const char *body,
               struct client_answer *ret_answer);

/* The same where only JSON will do: what the balancer refuses is trouble too. Returns EXIT_OK, or the exit status with
 * the trouble, and then *ret_json is untouched. */
int client_ask_json(struct admin_client *client, const char *method, const char *path, const char *body,
                    json_t **ret_json);

/* What an answer means: EXIT_OK, or the exit status with the trouble. *ret_json is the document in any case, or NULL.
 */
int client_judge(struct admin_client *client, const struct client_answer *answer, json_t **ret_json);

/* A text as the value of a query: free() it. NULL when out of memory. */
char *client_escape(const char *text);

/* Says "weir COMMAND: TROUBLE" on standard error; returns `status`. */
int client_complain(const struct admin_client *client, int status);

#endif
