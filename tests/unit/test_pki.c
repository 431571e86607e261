/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/errors.h>

#include "../../server/tls/pki.h"
#include "../../server/tls/pki_index.h"
#include "../../server/tls/pki_names.h"

#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)

/* A folder for each test, and in it perhaps a CA. */
static char base[32], ca[40];
static struct pki_error failure;

static int make_base(void **state)
{
    (void)state;
    snprintf(base, sizeof base, "/tmp/weir-test-XXXXXX");
    assert_non_null(mkdtemp(base));
    snprintf(ca, sizeof ca, "%s/ca", base);
    return 0;
}

static int make_ca(void **state)
{
    make_base(state);
    assert_int_equal(pki_init(ca, NOW, PKI_CA_DAYS, &failure), 0);
    return 0;
}

static void each_file(const char *folder, void (*visit)(int folder, const char *name))
{
    DIR *directory = opendir(folder);
    if (directory == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            visit(dirfd(directory), entry->d_name);
    closedir(directory);
}

static void remove_file(int folder, const char *name)
{
    unlinkat(folder, name, 0);
}

static int remove_base(void **state)
{
    (void)state;
    each_file(ca, remove_file);
    rmdir(ca);
    return rmdir(base);
}

static uint32_t files;

static void count_file(int folder, const char *name)
{
    (void)folder;
    (void)name;
    files++;
}

static uint32_t count_files(const char *folder)
{
    files = 0;
    each_file(folder, count_file);
    return files;
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", ca, name);
    return path;
}

static struct pki *open_ca(int64_t now_s)
{
    struct pki *pki = NULL;
    if (pki_open(ca, now_s, &pki, &failure) != 0)
        fail_msg("%s", failure.text);
    return pki;
}

static int issue(struct pki *pki, const char *name, uint32_t days)
{
    const struct pki_entry *entry = NULL;
    const struct pki_request request = { .names = { &name, 1 }, .days = days };
    return pki_issue(pki, &request, &entry, &failure);
}

/* Names */

static void names_that_could_leave_the_folder_or_hide_in_it_are_refused(void **state)
{
    static const char *const good[] = { "a", "alice", "web-1.example.com", "Alice_2", "7" };
    static const char *const bad[] = { "",     ".",       "..",  "../a",     "a/b", "/a", ".a", "-a",  "_a",  "a b",
                                       "a\nb", "a,DNS:b", "a:b", "\xc3\xa4", "ca",  "CA", "*",  "*.a", "a\\b" };
    char name[PKI_NAME_MAX + 2] = "";
    (void)state;
    for (size_t n = 0; n < sizeof good / sizeof good[0]; n++)
        assert_true(pki_name_is_good(good[n]));
    for (size_t n = 0; n < sizeof bad / sizeof bad[0]; n++)
        assert_false(pki_name_is_good(bad[n]));
    memset(name, 'a', PKI_NAME_MAX);
    assert_true(pki_name_is_good(name));
    name[PKI_NAME_MAX] = 'a';
    assert_false(pki_name_is_good(name));
}

struct names {
    const char *names[3], *addresses[2], *uris[2];
    const char *complaint; /* NULL: none */
};

static struct pki_texts texts_of(const char *const *at, uint32_t max)
{
    struct pki_texts texts = { at, 0 };
    while (texts.count < max && at[texts.count] != NULL)
        texts.count++;
    return texts;
}

static void each_name_is_of_its_kind(void **state)
{
    static const struct names rows[] = {
        { { "web", "*.web.internal" }, { "10.0.0.1", "2001:db8::1" }, { "spiffe://example.com/a" }, NULL },
        { { "*.web.internal" }, { NULL }, { NULL }, "cannot name a certificate" },
        { { "web", "*" }, { NULL }, { NULL }, "no DNS name" },
        { { "web", "a.*.b" }, { NULL }, { NULL }, "no DNS name" },
        { { "web", "a..b" }, { NULL }, { NULL }, "no DNS name" },
        { { "web", "a." }, { NULL }, { NULL }, "no DNS name" },
        { { "a..b" }, { NULL }, { NULL }, "no DNS name" },
        { { "web" }, { "10.0.0" }, { NULL }, "no address" },
        { { "web" }, { "10.0.0.1:80" }, { NULL }, "no address" },
        { { "web" }, { "web" }, { NULL }, "no address" },
        { { "web" }, { NULL }, { "alice" }, "no URI" },
        { { "web" }, { NULL }, { "spiffe:" }, "no URI" },
        { { "web" }, { NULL }, { ":alice" }, "no URI" },
        { { "web" }, { NULL }, { "spiffe://example.com/*" }, "no URI" },
        { { "web" }, { NULL }, { "spiffe://example.com/a b" }, "no URI" },
    };
    (void)state;
    for (size_t n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        const struct pki_request request = { .names = texts_of(rows[n].names, 3),
                                             .addresses = texts_of(rows[n].addresses, 2),
                                             .uris = texts_of(rows[n].uris, 2) };
        int err = pki_names_check(&request, &failure);
        assert_int_equal(err, rows[n].complaint == NULL ? 0 : WEIR_EINVAL);
        if (err != 0)
            assert_non_null(strstr(failure.text, rows[n].complaint));
    }
}

static void a_certificate_has_no_more_names_than_an_identity(void **state)
{
    const char *names[64];
    (void)state;
    for (uint32_t n = 0; n < 64; n++)
        names[n] = "web";
    assert_int_equal(pki_names_check(&(struct pki_request){ .names = { names, 63 } }, &failure), 0);
    assert_int_equal(pki_names_check(&(struct pki_request){ .names = { names, 64 } }, &failure), WEIR_EINVAL);
    assert_int_equal(pki_names_check(&(struct pki_request){ .names = { names, 0 } }, &failure), WEIR_EINVAL);
}

/* The index */

static int read_text(const char *text, struct pki_index *index, uint32_t *line)
{
    FILE *stream = fmemopen((void *)text, strlen(text), "r");
    assert_non_null(stream);
    int err = pki_index_read(stream, index, line);
    fclose(stream);
    return err;
}

static void what_is_written_to_the_index_is_read_back(void **state)
{
    struct pki_index index = { 0 }, again = { 0 };
    uint32_t line;
    (void)state;
    for (uint32_t n = 0; n < 9; n++) {
        struct pki_entry entry = { .server = n % 2 == 0, .expires_s = NOW + n, .revoked_s = n % 3 == 0 ? NOW : 0 };
        snprintf(entry.name, sizeof entry.name, "client%u", n);
        snprintf(entry.serial, sizeof entry.serial, "%032X", n);
        assert_int_equal(pki_index_add(&index, &entry), 0);
    }
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    pki_index_write(stream, &index);
    fclose(stream);
    assert_int_equal(read_text(text, &again, &line), 0);
    assert_int_equal(again.count, 9);
    for (uint32_t n = 0; n < 9; n++) {
        assert_string_equal(again.entries[n].name, index.entries[n].name);
        assert_string_equal(again.entries[n].serial, index.entries[n].serial);
        assert_int_equal(again.entries[n].server, index.entries[n].server);
        assert_int_equal(again.entries[n].expires_s, index.entries[n].expires_s);
        assert_int_equal(again.entries[n].revoked_s, index.entries[n].revoked_s);
    }
    free(text);
    pki_index_free(&index);
    pki_index_free(&again);
}

static void an_index_that_makes_no_sense_is_refused_with_its_line(void **state)
{
    static const char good[] = "# a comment\n00FF client 2027-01-31T12:00:00Z - alice\n";
    static const char *const bad[] = {
        "00FF client 2027-01-31T12:00:00Z -\n",
        "00FF client 2027-01-31T12:00:00Z - alice bob\n",
        "00FF client 2027-01-31T12:00:00Z - ../alice\n",
        "00fg client 2027-01-31T12:00:00Z - alice\n",
        "00FF guest 2027-01-31T12:00:00Z - alice\n",
        "00FF client 2027-01-31 - alice\n",
        "00FF client 2027-01-31T12:00:00Z yes alice\n",
        "00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00 client 2027-01-31T12:00:00Z - alice\n",
        "\n",
    };
    (void)state;
    for (size_t n = 0; n < sizeof bad / sizeof bad[0]; n++) {
        struct pki_index index = { 0 };
        uint32_t line = 0;
        char text[256];
        snprintf(text, sizeof text, "%s%s", good, bad[n]);
        assert_int_equal(read_text(text, &index, &line), WEIR_EIO);
        assert_int_equal(line, 3);
        pki_index_free(&index);
    }
}

/* The CA */

static void a_new_ca_appears_complete_and_closed_to_others(void **state)
{
    struct stat about;
    (void)state;
    assert_int_equal(pki_init(ca, NOW, 100, &failure), 0);
    assert_int_equal(stat(ca, &about), 0);
    assert_int_equal(about.st_mode & 07777, 0700);
    assert_int_equal(stat(path_of("ca.key"), &about), 0);
    assert_int_equal(about.st_mode & 07777, 0600);
    assert_int_equal(count_files(ca), 4);
    assert_int_equal(count_files(base), 1);
    struct pki *pki = open_ca(NOW);
    assert_int_equal(pki_ca_expires(pki), NOW + 100 * DAY);
    assert_int_equal(pki_crl_expires(pki), NOW + PKI_CRL_DAYS * DAY);
    assert_int_equal(pki_entry_count(pki), 0);
    pki_close(&pki);
}

static void a_ca_takes_an_empty_folder_and_no_other(void **state)
{
    (void)state;
    assert_int_equal(mkdir(ca, 0755), 0);
    assert_int_equal(pki_init(ca, NOW, PKI_CA_DAYS, &failure), 0);
    assert_int_equal(pki_init(ca, NOW, PKI_CA_DAYS, &failure), WEIR_EACCES);
    assert_non_null(strstr(failure.text, "is not replaced"));
    assert_int_equal(count_files(base), 1);
}

static void a_ca_that_cannot_be_written_leaves_nothing(void **state)
{
    const struct rlimit none = { 0, RLIM_INFINITY };
    struct rlimit before;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int err = pki_init(ca, NOW, PKI_CA_DAYS, &failure);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_not_equal(err, 0);
    assert_non_null(strstr(failure.text, "ca.key: cannot write"));
    assert_int_equal(count_files(base), 0);
}

static void a_ca_is_one_users_at_a_time(void **state)
{
    (void)state;
    struct pki *pki = open_ca(NOW);
    int folder = open(ca, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(folder, LOCK_EX | LOCK_NB), -1);
    pki_close(&pki);
    assert_int_equal(flock(folder, LOCK_EX | LOCK_NB), 0);
    close(folder);
}

static void a_ca_that_others_can_read_or_change_is_refused(void **state)
{
    struct pki *pki = NULL;
    (void)state;
    assert_int_equal(chmod(path_of("ca.key"), 0640), 0);
    assert_int_equal(pki_open(ca, NOW, &pki, &failure), WEIR_EACCES);
    assert_non_null(strstr(failure.text, "ca.key is open to others (mode 0640)"));
    assert_int_equal(chmod(path_of("ca.key"), 0600), 0);
    assert_int_equal(chmod(ca, 0720), 0);
    assert_int_equal(pki_open(ca, NOW, &pki, &failure), WEIR_EACCES);
    assert_non_null(strstr(failure.text, "can be written by others"));
    assert_null(pki);
}

static void a_ca_with_another_ones_key_is_refused(void **state)
{
    struct pki *pki = open_ca(NOW);
    (void)state;
    assert_int_equal(issue(pki, "alice", 0), 0);
    pki_close(&pki);
    assert_int_equal(unlink(path_of("ca.key")), 0);
    int folder = open(ca, O_RDONLY | O_DIRECTORY);
    assert_int_equal(renameat(folder, "alice.key", folder, "ca.key"), 0);
    close(folder);
    assert_int_equal(pki_open(ca, NOW, &pki, &failure), WEIR_EIO);
    assert_non_null(strstr(failure.text, "no certificate and its key"));
}

/* Certificates */

static void certificates_are_remembered(void **state)
{
    const char *const names[] = { "web.internal", "*.web.internal" };
    const struct pki_request server = { .server = true, .names = { names, 2 } };
    const struct pki_entry *entry = NULL;
    (void)state;
    struct pki *pki = open_ca(NOW);
    assert_int_equal(pki_issue(pki, &server, &entry, &failure), 0);
    assert_string_equal(entry->name, "web.internal");
    assert_int_equal(entry->expires_s, NOW + PKI_SERVER_DAYS * DAY);
    assert_int_equal(issue(pki, "alice", 0), 0);
    assert_int_equal(issue(pki, "bob", 7), 0);
    pki_close(&pki);
    pki = open_ca(NOW + 1);
    assert_int_equal(pki_entry_count(pki), 3);
    assert_true(pki_entry(pki, 0)->server);
    assert_false(pki_entry(pki, 1)->server);
    assert_int_equal(pki_entry(pki, 1)->expires_s, NOW + PKI_CLIENT_DAYS * DAY);
    assert_int_equal(pki_entry(pki, 2)->expires_s, NOW + 7 * DAY);
    assert_string_not_equal(pki_entry(pki, 1)->serial, pki_entry(pki, 2)->serial);
    pki_close(&pki);
}

static void nothing_is_overwritten(void **state)
{
    struct stat before, after;
    (void)state;
    struct pki *pki = open_ca(NOW);
    assert_int_equal(issue(pki, "alice", 0), 0);
    assert_int_equal(stat(path_of("alice.key"), &before), 0);
    assert_int_equal(issue(pki, "alice", 0), WEIR_EACCES);
    assert_non_null(strstr(failure.text, "alice.crt exists"));
    assert_int_equal(unlink(path_of("alice.crt")), 0);
    assert_int_equal(issue(pki, "alice", 0), WEIR_EACCES);
    assert_non_null(strstr(failure.text, "alice.key exists"));
    assert_int_equal(pki_entry_count(pki), 1);
    assert_int_equal(stat(path_of("alice.key"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(unlink(path_of("alice.key")), 0);
    assert_int_equal(symlink("ca.key", path_of("alice.key")), 0);
    assert_int_equal(issue(pki, "alice", 0), WEIR_EACCES);
    pki_close(&pki);
}

static void a_certificate_that_cannot_be_written_leaves_nothing(void **state)
{
    const struct rlimit little = { 250, RLIM_INFINITY }; /* enough for a key, not for a certificate */
    struct rlimit before;
    (void)state;
    struct pki *pki = open_ca(NOW);
    uint32_t count = count_files(ca);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    int err = issue(pki, "alice", 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_not_equal(err, 0);
    assert_int_equal(count_files(ca), count);
    assert_int_equal(issue(pki, "alice", 0), 0);
    pki_close(&pki);
}

static void what_a_killed_run_left_is_in_nobodys_way(void **state)
{
    (void)state;
    struct pki *pki = open_ca(NOW);
    int fd = open(path_of(".alice.key.new"), O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(issue(pki, "alice", 0), 0);
    assert_int_equal(access(path_of(".alice.key.new"), F_OK), -1);
    pki_close(&pki);
}

static void a_certificate_does_not_outlive_its_ca(void **state)
{
    (void)state;
    struct pki *pki = open_ca(NOW + (PKI_CA_DAYS - 10) * DAY);
    assert_int_equal(issue(pki, "alice", 0), WEIR_EINVAL);
    assert_non_null(strstr(failure.text, "--days 10 or less"));
    assert_int_equal(issue(pki, "alice", 10), 0);
    pki_close(&pki);
    pki = open_ca(NOW + PKI_CA_DAYS * DAY);
    assert_int_equal(issue(pki, "bob", 1), WEIR_EIO);
    assert_non_null(strstr(failure.text, "has expired"));
    pki_close(&pki);
}

/* Revoking */

static void all_certificates_of_a_name_are_revoked_or_one_serial(void **state)
{
    uint32_t count = 0;
    char serial[PKI_SERIAL_MAX + 1];
    (void)state;
    struct pki *pki = open_ca(NOW);
    for (int n = 0; n < 3; n++) {
        assert_int_equal(issue(pki, "alice", 0), 0);
        unlink(path_of("alice.crt"));
        unlink(path_of("alice.key"));
    }
    assert_int_equal(issue(pki, "bob", 0), 0);
    snprintf(serial, sizeof serial, "%s", pki_entry(pki, 1)->serial);
    assert_int_equal(pki_revoke(pki, serial, &count, &failure), 0);
    assert_int_equal(count, 1);
    assert_int_equal(pki_entry(pki, 0)->revoked_s, 0);
    assert_int_equal(pki_revoke(pki, "ALICE", &count, &failure), 0);
    assert_int_equal(count, 2);
    assert_int_equal(pki_revoke(pki, "alice", &count, &failure), 0);
    assert_int_equal(count, 0);
    assert_int_equal(pki_revoke(pki, "carol", &count, &failure), WEIR_EINVAL);
    pki_close(&pki);
    pki = open_ca(NOW + DAY);
    for (uint32_t n = 0; n < 3; n++)
        assert_int_equal(pki_entry(pki, n)->revoked_s, NOW);
    assert_int_equal(pki_entry(pki, 3)->revoked_s, 0);
    pki_close(&pki);
}

static void a_crl_is_good_for_as_long_as_asked(void **state)
{
    (void)state;
    struct pki *pki = open_ca(NOW + 100 * DAY);
    assert_int_equal(pki_crl_expires(pki), NOW + PKI_CRL_DAYS * DAY);
    assert_int_equal(pki_write_crl(pki, 5, &failure), 0);
    assert_int_equal(pki_crl_expires(pki), NOW + 105 * DAY);
    assert_int_equal(pki_write_crl(pki, 0, &failure), WEIR_EINVAL);
    assert_int_equal(unlink(path_of("ca.crl")), 0);
    assert_int_equal(pki_crl_expires(pki), 0);
    pki_close(&pki);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_could_leave_the_folder_or_hide_in_it_are_refused),
        cmocka_unit_test(each_name_is_of_its_kind),
        cmocka_unit_test(a_certificate_has_no_more_names_than_an_identity),
        cmocka_unit_test(what_is_written_to_the_index_is_read_back),
        cmocka_unit_test(an_index_that_makes_no_sense_is_refused_with_its_line),
        cmocka_unit_test_setup_teardown(a_new_ca_appears_complete_and_closed_to_others, make_base, remove_base),
        cmocka_unit_test_setup_teardown(a_ca_takes_an_empty_folder_and_no_other, make_base, remove_base),
        cmocka_unit_test_setup_teardown(a_ca_that_cannot_be_written_leaves_nothing, make_base, remove_base),
        cmocka_unit_test_setup_teardown(a_ca_is_one_users_at_a_time, make_ca, remove_base),
        cmocka_unit_test_setup_teardown(a_ca_that_others_can_read_or_change_is_refused, make_ca, remove_base),
        cmocka_unit_test_setup_teardown(a_ca_with_another_ones_key_is_refused, make_ca, remove_base),
        cmocka_unit_test_setup_teardown(certificates_are_remembered, make_ca, remove_base),
        cmocka_unit_test_setup_teardown(nothing_is_overwritten, make_ca, remove_base),
        cmocka_unit_test_setup_teardown(a_certificate_that_cannot_be_written_leaves_nothing, make_ca, remove_base),
        cmocka_unit_test_setup_teardown(what_a_killed_run_left_is_in_nobodys_way, make_ca, remove_base),
        cmocka_unit_test_setup_teardown(a_certificate_does_not_outlive_its_ca, make_ca, remove_base),
        cmocka_unit_test_setup_teardown(all_certificates_of_a_name_are_revoked_or_one_serial, make_ca, remove_base),
        cmocka_unit_test_setup_teardown(a_crl_is_good_for_as_long_as_asked, make_ca, remove_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
