/* Runs a program on a kernel that lacks something, for tests: `without landlock PROGRAM ...`.
 *
 * The kernel's own answers are given by a filter: Landlock not compiled in, seccomp not compiled in.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif

static int lacks(unsigned number, unsigned error) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int count, char **words) {
    if (count < 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 2;
    int failed;
    if (strcmp(words[1], "landlock") == 0) failed = lacks(SYS_landlock_create_ruleset, EOPNOTSUPP);
    else if (strcmp(words[1], "old-landlock") == 0) failed = lacks(SYS_landlock_create_ruleset, ENOSYS);
    /* Says that it has it, and does not let it be used, as a container may. */
    else if (strcmp(words[1], "landlock-in-use") == 0) failed = lacks(SYS_landlock_restrict_self, EPERM);
    else if (strcmp(words[1], "seccomp") == 0) failed = lacks(SYS_seccomp, ENOSYS);
    else return 2;
    if (failed) {
        perror("without");
        return 2;
    }
    execvp(words[2], words + 2);
    perror(words[2]);
    return 2;
}
