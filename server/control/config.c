/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/errors.h>

#include "config_parts.h"

#define WORKERS_MAX 1024
#define LISTENERS_MAX 1000
#define POOLS_MAX 1000
#define CLIENTS_MAX 100000
#define RULES_MAX 100000
#define EXPECTATIONS_MAX 100000
#define MAX_CONNECTIONS_MAX 100000000
#define HANDSHAKES_MAX 1000000
#define USER_MAX 32 /* bytes */

static const struct word io_words[] = {
    { "auto", WEIR_BACKEND_AUTO, false },
    { "io_uring", WEIR_BACKEND_IO_URING, false },
    { "epoll", WEIR_BACKEND_EPOLL, false },
    { NULL, 0, false },
};
static const struct word format_words[] = {
    { "auto", LOG_FORMAT_AUTO, false },
    { "json", LOG_FORMAT_JSON, false },
    { "text", LOG_FORMAT_TEXT, false },
    { NULL, 0, false },
};
static const struct word level_words[] = {
    { "debug", LOG_LEVEL_DEBUG, false },
    { "info", LOG_LEVEL_INFO, false },
    { "warn", LOG_LEVEL_WARN, false },
    { "error", LOG_LEVEL_ERROR, false },
    { NULL, 0, false },
};

static const struct word sandbox_words[] = {
    { "strict", SANDBOX_STRICT, false },
    { "best-effort", SANDBOX_BEST_EFFORT, false },
    { "off", SANDBOX_OFF, false },
    { NULL, 0, false },
};

static void read_workers(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    const char *text = node_text(node);
    uint64_t number;

    if (text != NULL && strcmp(text, "auto") == 0)
        *(uint32_t *)slot = 0;
    else if (text == NULL || value_number(text, &number) != 0 || number < field->min || number > field->max)
        refuse(reader, field->key, node, "auto or a number from 1 to %d", WORKERS_MAX);
    else
        read_u32(reader, field, node, slot);
}

/* Whether there is such a user is found out at the start: `weir check` may run elsewhere. */
static void read_user(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    const char *text = node_text(node);

    if (text == NULL || text[0] == '\0' || strlen(text) > USER_MAX)
        refuse(reader, field->key, node, "the name of a user, like weir");
    else
        *(char **)slot = reader_copy(reader, text);
}

static void read_admin_http(struct reader *reader, const struct field *field, const struct node *node, void *slot)
{
    struct settings *settings = &reader->snapshot->settings;

    read_address(reader, field, node, slot);
    settings->has_admin_http = settings->admin_http.u.any.sa_family != AF_UNSPEC;
}

static const struct field log_fields[] = {
    { "format", read_word, offsetof(struct settings, log_format), .words = format_words },
    { "level", read_word, offsetof(struct settings, log_level), .words = level_words },
    { "connections", read_bool, offsetof(struct settings, log_connections) },
};
static const struct section log_section = SECTION("log", log_fields);

static const struct field admin_fields[] = {
    { "socket", read_socket, offsetof(struct settings, admin_socket) },
    { "http", read_admin_http, offsetof(struct settings, admin_http), PLACED_AT(struct settings, admin_http_at) },
};
static const struct section admin_section = SECTION("admin", admin_fields);

static const struct field file_fields[] = {
    { "workers", read_workers, offsetof(struct snapshot, settings.workers), 1, WORKERS_MAX,
      PLACED_AT(struct snapshot, settings.workers_at) },
    { "io", read_word, offsetof(struct snapshot, settings.io), .words = io_words,
      PLACED_AT(struct snapshot, settings.io_at) },
    { "max_connections", read_u32, offsetof(struct snapshot, settings.max_connections), 0, MAX_CONNECTIONS_MAX,
      PLACED_AT(struct snapshot, settings.max_connections_at) },
    { "drain_timeout", read_duration, offsetof(struct snapshot, settings.drain_timeout_ns), 0, 365 * NS_PER_DAY },
    { "log", read_section, offsetof(struct snapshot, settings), .section = &log_section },
    { "admin", read_section, offsetof(struct snapshot, settings), .section = &admin_section,
      PLACED_AT(struct snapshot, settings.admin_at) },
    { "pools", read_pools, 0, 1, POOLS_MAX, .add = "pools: and a list of them" },
    { "listeners", read_listeners, 0, 1, LISTENERS_MAX, .add = "listeners: and a list of them" },
    { "limits", read_limits, 0 },
    { "clients", read_clients, 0, 0, CLIENTS_MAX },
    { "policy", read_policy, 0, 0, RULES_MAX },
    { "expect", read_expectations, 0, 0, EXPECTATIONS_MAX },
    { "user", read_user, offsetof(struct snapshot, settings.user), PLACED_AT(struct snapshot, settings.user_at) },
    { "sandbox", read_word, offsetof(struct snapshot, settings.sandbox), .words = sandbox_words,
      PLACED_AT(struct snapshot, settings.sandbox_at) },
    { "max_handshakes", read_u32, offsetof(struct snapshot, settings.max_handshakes), 1, HANDSHAKES_MAX },
    { "max_handshakes_per_source", read_u32, offsetof(struct snapshot, settings.max_handshakes_per_source), 0,
      HANDSHAKES_MAX },
};
static const struct section file_section = SECTION("this file", file_fields);

static struct snapshot *new_snapshot(const char *path)
{
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);

    if (snapshot == NULL)
        return NULL;
    snapshot->settings = (struct settings){
        .io = WEIR_BACKEND_AUTO,
        .max_handshakes = 1024,
        .drain_timeout_ns = 5 * NS_PER_MINUTE,
        .log_format = LOG_FORMAT_AUTO,
        .log_level = LOG_LEVEL_INFO,
        .log_connections = true,
    };
    snapshot->path = strdup(path);
    if (snapshot->path == NULL)
        snapshot_free(&snapshot);
    return snapshot;
}

static void reader_free(struct reader *reader)
{
    index_free(&reader->listeners);
    index_free(&reader->listener_addresses);
    index_free(&reader->pools);
    index_free(&reader->places);
    index_free(&reader->upstreams);
    index_free(&reader->upstream_addresses);
    index_free(&reader->clients);
    index_free(&reader->networks);
    index_free(&reader->identities);
    free(reader->upstream_limits);
    arena_free(&reader->arena);
}

static void read_file(struct reader *reader, const char *bytes, size_t size)
{
    struct node *root = tree_read(&reader->arena, bytes, size, reader->report);

    if (root != NULL)
        section_read(reader, &file_section, root, reader->snapshot);
}

int config_read_memory(const char *path, const char *bytes, size_t size, struct snapshot **ret_snapshot,
                       struct config_errors *errors)
{
    struct report report = { .out_of_memory = false };
    struct snapshot *snapshot = new_snapshot(path);
    struct reader reader = {
        .report = &report, .snapshot = snapshot, .default_limits = NO_LIMITS, .pools_incomplete = true
    };

    if (snapshot == NULL)
        return WEIR_ENOMEM;
    read_file(&reader, bytes, size);
    reader_free(&reader);
    int err = report_finish(&report, path, errors);
    if (err != 0)
        snapshot_free(&snapshot);
    else
        *ret_snapshot = snapshot;
    return err;
}

/* Reads at most CONFIG_BYTES_MAX + 1 bytes. Returns 0, or WEIR_EIO and errno. */
static int read_descriptor(int fd, char *bytes, size_t *ret_size)
{
    size_t size = 0;
    ssize_t got;

    do {
        got = read(fd, bytes + size, CONFIG_BYTES_MAX + 1 - size);
        if (got > 0)
            size += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    *ret_size = size;
    return got < 0 ? WEIR_EIO : 0;
}

static int refuse_file(const char *path, struct config_errors *errors, const char *reason)
{
    int err = config_errors_add(errors, "%s: %s", path, reason);
    return err == 0 ? WEIR_EINVAL : err;
}

/* The whole file, for the caller to free. */
static int read_bytes(const char *path, char **ret_bytes, size_t *ret_size, struct config_errors *errors)
{
    char *bytes = malloc(CONFIG_BYTES_MAX + 1);
    size_t size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int err = bytes == NULL ? WEIR_ENOMEM : 0;

    if (err == 0 && (fd < 0 || read_descriptor(fd, bytes, &size) != 0))
        err = refuse_file(path, errors, strerror(errno));
    else if (err == 0 && size > CONFIG_BYTES_MAX)
        err = refuse_file(path, errors, "the file is larger than 16 MiB");
    if (fd >= 0)
        close(fd);
    if (err != 0) {
        free(bytes);
        return err;
    }
    *ret_bytes = bytes;
    *ret_size = size;
    return 0;
}

int config_read(const char *path, struct snapshot **ret_snapshot, struct config_errors *errors)
{
    char *bytes = NULL;
    size_t size = 0;
    int err = read_bytes(path, &bytes, &size, errors);

    if (err == 0)
        err = config_read_memory(path, bytes, size, ret_snapshot, errors);
    free(bytes);
    return err;
}

/* The socket alone */

static const struct node *value_of(const struct node *node, const char *key)
{
    if (node == NULL || node->kind != NODE_MAPPING)
        return NULL;
    for (const struct node *at = node->first; at != NULL; at = at->next->next)
        if (at->kind == NODE_TEXT && strcmp(at->text, key) == 0)
            return at->next;
    return NULL;
}

static void find_socket(struct reader *reader, const char *bytes, size_t size)
{
    const struct node *root = tree_read(&reader->arena, bytes, size, reader->report);
    const struct node *socket = value_of(value_of(root, "admin"), "socket");

    if (socket != NULL)
        read_socket(reader, &admin_fields[0], socket, &reader->snapshot->settings.admin_socket);
}

int config_find_socket(const char *path, char **ret_socket, struct config_errors *errors)
{
    struct report report = { .out_of_memory = false };
    struct snapshot *snapshot = new_snapshot(path);
    struct reader reader = { .report = &report, .snapshot = snapshot };
    char *bytes = NULL;
    size_t size = 0;
    int err = snapshot == NULL ? WEIR_ENOMEM : read_bytes(path, &bytes, &size, errors);

    if (err == 0) {
        find_socket(&reader, bytes, size);
        reader_free(&reader);
        err = report_finish(&report, path, errors);
    }
    if (err == 0 || (snapshot != NULL && snapshot->settings.admin_socket != NULL)) {
        *ret_socket = snapshot->settings.admin_socket;
        snapshot->settings.admin_socket = NULL;
        config_errors_free(errors);
        err = 0;
    }
    free(bytes);
    snapshot_free(&snapshot);
    return err;
}
