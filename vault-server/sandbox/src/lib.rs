//! What the kernel keeps a process from: system calls, files, dumps, privileges.
