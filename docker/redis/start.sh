#!/bin/sh
# Start the store: the password goes from its secret into the ACL, every write goes to disk before it is answered.
set -eu
password="$(cat /run/secrets/redis_password)"
sed "s/PASSWORD/${password}/" /etc/valkey/users.acl >/tmp/users.acl
chmod 600 /tmp/users.acl
exec valkey-server --bind '* -::*' --dir /data --appendonly yes --appendfsync always --save '' \
    --maxmemory-policy noeviction --aclfile /tmp/users.acl
