#!/usr/bin/env python3
"""Runs a program as docs/deploy would have it run, on a machine where neither systemd is process 1 nor a container engine is.

    confine.py unit SERVICE UID WRITABLE PROGRAM WORD...     under what SERVICE says
    confine.py image ROOT UID WRITABLE PROGRAM WORD...       in the folder ROOT, read-only; PROGRAM is /vault-server there
    confine.py image1 ROOT UID WRITABLE PROGRAM WORD...      the same as process 1 of a namespace of its own

`unit` does what systemd 252 does for the settings that can stop a program: system calls (by the same library and the
same groups), address families, namespaces, W^X, capabilities, limits, read-only file systems, devices, /proc, a user
namespace. Settings that it does not know end it. `image` does what an engine does for `--read-only --cap-drop=ALL
--security-opt no-new-privileges --user UID --tmpfs /tmp`; an engine's list of system calls and control groups are not
there. Needs root; standard library only; system calls by libseccomp, which systemd brings.
"""

import ctypes
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NEWNS, NEWUSER, NEWPID = 0x20000, 0x10000000, 0x20000000
NAMESPACES = (NEWNS, 0x2000000, 0x4000000, 0x8000000, NEWUSER, NEWPID, 0x40000000, 0x80)
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 24, 28, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL, SECBIT_NOROOT, SECBIT_NOROOT_LOCKED = 4, 1, 2
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NE, EQ, MASKED_EQ, GT = 1, 4, 7, 6


def call(name, *arguments):
    words = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    if getattr(LIBC, name)(*words) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


def read_unit(path):
    """Setting -> its values, of [Service] alone."""
    settings, section = {}, None
    for line in pathlib.Path(path).read_text().splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            settings.setdefault(name, []).append(value)
    return settings


# ---- files ----


def keep(path):
    """Something that may vanish under a mount, by a name that does not."""
    # By number: `self` would be mount(8).
    return f"/proc/{os.getpid()}/fd/{os.open(path, os.O_PATH)}"


def put_back(kept, path):
    """Shows it at a path."""
    path = pathlib.Path(path)
    if pathlib.Path(kept).is_dir():
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    mount("--no-canonicalize", "--bind", kept, path)


def devices(folder):
    """The few that PrivateDevices= and container engines leave."""
    names = ["null", "zero", "full", "random", "urandom"]
    kept = {name: keep(f"/dev/{name}") if folder == "/dev" else f"/dev/{name}" for name in names}
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    for name in names:
        put_back(kept[name], f"{folder}/{name}")


def read_only(but):
    """All that is mounted, as ProtectSystem=strict and ProtectKernelTunables=yes have it."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        path = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4])
        is_in = [path == top or path.startswith(f"{top}/") for top in but]
        if not any(is_in) and os.path.exists(path):
            mount("-o", "remount,bind,ro", path)


# ---- system calls ----


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Filter:
    """One filter of libseccomp: a default, and rules."""

    LIB = None

    def __init__(self, default):
        if Filter.LIB is None:
            Filter.LIB = ctypes.CDLL("libseccomp.so.2")
            Filter.LIB.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.LIB.seccomp_init(ctypes.c_uint32(default)))

    def rule(self, action, name, *comparisons):
        number = self.LIB.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            return False
        array = (Comparison * len(comparisons))(*[Comparison(*c) for c in comparisons])
        done = self.LIB.seccomp_rule_add_array(self.context, ctypes.c_uint32(action), number, len(comparisons), array)
        # Calls that this architecture has not got have numbers below zero.
        if done != 0 and number >= 0:
            raise OSError(-done, f"rule for {name}")
        return True

    def load(self):
        done = self.LIB.seccomp_load(self.context)
        if done != 0:
            raise OSError(-done, "seccomp_load")


def groups():
    """systemd's own names for sets of system calls."""
    known, name = {}, None
    text = subprocess.run(["systemd-analyze", "syscall-filter"], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        if line.startswith("@"):
            name = line.strip()
            known[name] = []
        elif line.startswith("#"):
            name = None
        elif name and line.strip() and not line.strip().startswith("#"):
            known[name].append(line.strip())
    return known


def system_calls(values, known):
    """The list that results; each value adds, or with a tilde takes away."""

    def expand(word):
        return {one for inner in known[word] for one in expand(inner)} if word.startswith("@") else {word}

    allowed = expand("@default")
    for value in values:
        words = {one for word in value.removeprefix("~").split() for one in expand(word)}
        allowed = allowed - words if value.startswith("~") else allowed | words
    return allowed


def filters(unit, has):
    """What systemd would load, in its order."""
    families = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
    allowed = {families[word] for word in unit.pop("RestrictAddressFamilies")[0].split()}
    one = Filter(ALLOW)
    for family in set(range(64)) - allowed:
        one.rule(ERRNO | EAFNOSUPPORT, "socket", (0, EQ, family, 0))
    one.rule(ERRNO | EAFNOSUPPORT, "socket", (0, GT, 63, 0))
    yield one

    has("yes", "MemoryDenyWriteExecute")
    one = Filter(ALLOW)
    one.rule(ERRNO | EPERM, "mmap", (2, MASKED_EQ, 0x6, 0x6))
    one.rule(ERRNO | EPERM, "mprotect", (2, MASKED_EQ, 0x4, 0x4))
    one.rule(ERRNO | EPERM, "pkey_mprotect", (2, MASKED_EQ, 0x4, 0x4))
    one.rule(ERRNO | EPERM, "shmat", (2, MASKED_EQ, 0o100000, 0o100000))
    yield one

    has("yes", "RestrictNamespaces")
    one = Filter(ALLOW)
    one.rule(ERRNO | ENOSYS, "clone3")
    one.rule(ERRNO | EPERM, "setns")
    for flag in NAMESPACES:
        one.rule(ERRNO | EPERM, "unshare", (0, MASKED_EQ, flag, flag))
        one.rule(ERRNO | EPERM, "clone", (0, MASKED_EQ, flag, flag))
    yield one

    has("yes", "LockPersonality", "RestrictRealtime", "RestrictSUIDSGID")
    one = Filter(ALLOW)
    for bit in (0o4000, 0o2000):
        for name, place in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2)):
            one.rule(ERRNO | EPERM, name, (place, MASKED_EQ, bit, bit))
    one.rule(ERRNO | EPERM, "personality", (0, NE, 0, 0))
    one.rule(ERRNO | EPERM, "sched_setscheduler", (1, NE, 0, 0))
    yield one

    has("EPERM", "SystemCallErrorNumber")
    has("native", "SystemCallArchitectures")
    one = Filter(ERRNO | EPERM)
    for name in sorted(system_calls(unit.pop("SystemCallFilter"), groups())):
        one.rule(ALLOW, name)
    yield one


# ---- privileges ----


def map_users(user, proc):
    """A user namespace with root and one user in it, as PrivateUsers= makes it."""
    parent = os.getpid()
    ready = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.read(ready[0], 1)
        for name in ("uid_map", "gid_map"):
            fd = os.open(f"{parent}/{name}", os.O_WRONLY, dir_fd=proc)
            os.write(fd, f"0 0 1\n{user} {user} 1\n".encode())
        os._exit(0)
    call("unshare", NEWUSER)
    os.write(ready[1], b"1")
    if os.waitpid(helper, 0)[1] != 0:
        sys.exit("confine.py: the users cannot be mapped")
    for fd in ready:
        os.close(fd)


def become(user, capabilities, secure_bits=0):
    """The user, with no capability and no way to one."""
    for capability in range(capabilities):
        call("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
    call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    call("prctl", PR_SET_SECUREBITS, secure_bits, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # The change of user has cleared it, and nothing of a test may outlive it.
    call("prctl", PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def limit(name, number):
    which = getattr(resource, name)
    try:
        resource.setrlimit(which, (number, number))
    except ValueError:
        # A root without CAP_SYS_RESOURCE: as far as it may.
        most = resource.getrlimit(which)[1]
        resource.setrlimit(which, (most, most))
        print(f"confine.py: {name} stays at {most}", file=sys.stderr)


def capability_count():
    return int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1


# ---- the two ways ----


def as_unit(service, user, writable, program):
    unit = read_unit(service)

    def has(value, *names):
        for name in names:
            if unit.pop(name, None) != [value]:
                sys.exit(f"confine.py: knows {name}={value} only")

    for name in ("LimitCORE", "LimitMEMLOCK", "LimitNOFILE"):
        value = unit.pop(name)[0]
        limit(name.replace("Limit", "RLIMIT_"), resource.RLIM_INFINITY if value == "infinity" else int(value))
    mask = int(unit.pop("UMask")[0], 8)
    has("yes", "ProtectControlGroups", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables")
    has("yes", "NoNewPrivileges", "PrivateDevices", "PrivateMounts", "PrivateTmp", "PrivateUsers", "ProtectHome")
    has("", "AmbientCapabilities", "CapabilityBoundingSet")
    has("noroot-locked", "SecureBits")
    has("strict", "ProtectSystem")
    has("invisible", "ProtectProc")
    has("/var/lib/countersign", "ReadWritePaths")
    # What no process sees of itself: starting and stopping, and what control groups and keyrings do.
    for name in (
        "DevicePolicy ExecStart Group KeyringMode KillMode MemorySwapMax NotifyAccess OOMPolicy OOMScoreAdjust RemoveIPC Restart "
        "RestartPreventExitStatus RestartSec TimeoutStartSec TimeoutStopSec Type User WatchdogSec"
    ).split():
        unit.pop(name)
    loads = list(filters(unit, has))
    if unit:
        sys.exit(f"confine.py: does not know {sorted(unit)}")

    capabilities = capability_count()
    call("unshare", NEWNS)
    mount("--make-rprivate", "/")
    data, binary, proc = keep(writable), keep(program), os.open("/proc", os.O_PATH)
    seen = "/tmp/vault-server"
    for folder in ("/tmp", "/var/tmp"):
        mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", folder)
    # Before the folders vanish in which they may lie.
    put_back(data, writable)
    put_back(binary, seen)
    for folder in ("/home", "/root", "/run/user"):
        if os.path.isdir(folder):
            mount("-t", "tmpfs", "-o", "mode=000,ro", "tmpfs", folder)
    devices("/dev")
    read_only(but=["/proc", "/dev", "/tmp", "/var/tmp", writable])
    os.chdir("/")
    mount("-t", "proc", "-o", "hidepid=invisible", "proc", "/proc")
    mount("--bind", "/proc/sys", "/proc/sys")
    mount("-o", "remount,bind,ro", "/proc/sys")

    # Not before: folders were made here that others have to pass.
    os.umask(mask)
    map_users(user, proc)
    os.close(proc)
    become(user, capabilities, secure_bits=SECBIT_NOROOT | SECBIT_NOROOT_LOCKED)
    for one in loads:
        one.load()
    return seen


def as_image(root, user, writable, is_process_1):
    limit("RLIMIT_MEMLOCK", resource.RLIM_INFINITY)
    limit("RLIMIT_CORE", 0)
    capabilities = capability_count()
    call("unshare", NEWNS | (NEWPID if is_process_1 else 0))
    if is_process_1:
        follow(os.fork())
    mount("--make-rprivate", "/")
    mount("--bind", root, root)
    mount("-o", "remount,bind,ro", root)
    mount("-t", "tmpfs", "-o", "mode=1777,noexec,nosuid,nodev", "tmpfs", f"{root}/tmp")
    put_back(writable, f"{root}{writable}")
    devices(f"{root}/dev")
    mount("-t", "proc", "proc", f"{root}/proc")
    os.chroot(root)
    os.chdir("/")
    become(user, capabilities)
    return "/vault-server"


def follow(child):
    """In the parent: stays until the child ends, and passes on that it is to end."""
    if child == 0:
        return
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    status = os.waitpid(child, 0)[1]
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def main():
    how, place, user, writable, program, *words = sys.argv[1:]
    if how == "unit":
        seen = as_unit(place, int(user), writable, program)
    else:
        seen = as_image(place, int(user), writable, is_process_1=how == "image1")
    os.execv(seen, [seen, *words])


if __name__ == "__main__":
    main()
