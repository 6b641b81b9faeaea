#!/bin/sh
# Builds the program and, with it, an example image; says what to do next.
#
#   sh example/run.sh
#
# Needs Rust and a C compiler, and the network only for cargo to fetch crates: the base of the image is this machine's own
# shell with the libraries it needs. Everything goes under target/. GARBOARD=PATH takes a program that is built already,
# EXAMPLE=DIR another folder for the results.
set -eu
cd "$(dirname "$0")/.."
work=${EXAMPLE:-${CARGO_TARGET_DIR:-target}/example}
garboard=${GARBOARD:-}

if [ -z "$garboard" ]; then
    echo "Building the program (two or three minutes the first time) ..."
    cargo build --release --locked --bin garboard
    garboard=${CARGO_TARGET_DIR:-target}/release/garboard
fi

# Copies a program and the shared libraries it needs into the base folder, each at its own path.
# Links are followed: one file for each name is all the image needs.
add() {
    file=$(command -v "$1") || { echo "example: there is no $1 on this machine" >&2; exit 1; }
    put "$file" "/bin/$1"
    # `ldd` prints `name => /path (address)` or `/path (address)`, and fails for a static program, which needs nothing.
    for library in $(ldd "$file" 2>/dev/null | sed -n 's/^[^/]*\(\/[^ ]*\).*/\1/p'); do
        put "$library" "$library"
    done
}

put() {
    [ -e "$base$2" ] && return
    mkdir -p "$base$(dirname "$2")"
    cp -L "$1" "$base$2"
}

base=$work/base
rm -rf "$base" "$work/image.tar"
mkdir -p "$base"
for program in sh cat sort tr uniq wc; do
    add "$program"
done

echo "Building the image ..."
"$garboard" --root "$work/store" build \
    --build-context "machine=$base" --tag example --output "type=oci,dest=$work/image.tar" example

cat <<END

That was an image with three layers, built without a daemon and without a registry.

  its store     $work/store
  the archive   $work/image.tar  (skopeo, podman and docker can read it)

Next:
  sh example/run.sh                                       again: every step comes from the cache
  edit example/words.txt, then sh example/run.sh          only what depends on the file runs
  $garboard --root $work/store images     what is in the store
  cargo test --workspace                                  the tests
  $garboard build --tag NAME --push .     your own image, in your own folder
END
