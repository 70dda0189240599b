#!/bin/sh
# image-root.sh BINARY FOLDER: lays out the whole file system of the image in FOLDER. That is the server, the shared
# libraries it is linked with, and empty folders: no shell, no other program, no user database, no configuration.
set -eu
binary=$1
root=$2

mkdir -p "$root/dev" "$root/etc" "$root/proc" "$root/sys" "$root/tmp" "$root/var/lib/countersign"
install -m 0755 "$binary" "$root/vault-server"
# "libc.so.6 => /lib/.../libc.so.6 (0x...)", and the loader, which has no arrow.
ldd "$binary" | awk '$2 == "=>" { print $3; next } $1 ~ /^\// { print $1 }' | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
