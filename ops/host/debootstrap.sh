#!/bin/sh
# Prints a tar of a minimal Debian, fit to be imported as an image. Run as root, in a mount namespace of its own, so
# that nothing stays mounted whatever happens.
# Usage: debootstrap.sh SUITE FOLDER LOG [MIRROR [SECURITY_MIRROR]]
set -eu
suite=$1 folder=$2 log=$3 mirror=${4:-} security=${5:-}

work=$(mktemp -d "$folder/rootfs.XXXXXX")
trap 'umount -l "$work/root/proc" "$work/root/sys" 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM HUP
root=$work/root

debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" ${mirror:+"$mirror"} >"$log" 2>&1

# debootstrap names the release alone; fixes come from two more suites. The security archive lies beside the main one.
mirror=$(awk '$1 == "deb" { print $2; exit }' "$root/etc/apt/sources.list")
mirror=${mirror%/}
security=${security:-$mirror-security}
cat >"$root/etc/apt/sources.list" <<EOF
deb $mirror $suite main
deb $mirror $suite-updates main
deb ${security%/} $suite-security main
EOF

# In an image nothing starts by being installed, and nobody reads manuals. Licences (copyright) stay.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
cat >"$root/etc/dpkg/dpkg.cfg.d/image" <<'EOF'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
EOF
find "$root/usr/share/doc" -type f ! -name copyright -delete
find "$root/usr/share/doc" -type l -delete
find "$root/usr/share/doc" -type d -empty -delete
rm -rf "$root"/usr/share/info/* "$root"/usr/share/locale/* "$root"/usr/share/man/*
# What is this machine's own, or can be fetched again.
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old "$root"/var/log/* "$root"/tmp/*
rm -f "$root"/etc/hostname "$root"/etc/resolv.conf "$root"/etc/machine-id
: >"$root/etc/machine-id"

tar --create --directory="$root" --numeric-owner --sort=name --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' .
