#!/bin/sh
# Checks the surroundings that every payload is promised, and leaves a result on every filesystem there is.
set -u

echo "open files: $(ulimit -n), at most $(ulimit -H -n)"
ulimit -a

# First something to look at when a check fails: the partial outputs of a failed job are kept with its log.
echo "checked as user $(id -u) in $(pwd)" > "$ROOT_OUTPUT_NAME/surroundings.txt"

wrong=0
check() {
    if [ "$2" = "$3" ]; then
        echo "$1 is $2"
    else
        echo "$1 is '$2' and should be '$3'" >&2
        wrong=1
    fi
}
check test1 "${test1-not set}" test1
check test2 "${test2-not set}" test2
check test3 "${test3-not set}" test3
# A whole number in inputs.txt, text here.
check test4 "${test4-not set}" 0
[ "$wrong" = 0 ] || exit 1

# On a filesystem that the flock does not use its two names are not set.
leave() {
    [ -n "$2" ] || return 0
    dd if=/dev/zero of="$2/outputFile" bs=1048576 count="${OUTPUT_MIB:-8}" 2>/dev/null || exit 1
    cp -r "$1/." "$2/" || exit 1
    echo "left $(ls "$2" | wc -l) entries in $2"
}
leave "${LUSTRE_INPUT_NAME-}" "${LUSTRE_OUTPUT_NAME-}"
leave "${EFS_INPUT_NAME-}" "${EFS_OUTPUT_NAME-}"
leave "$ROOT_INPUT_NAME" "$ROOT_OUTPUT_NAME"
