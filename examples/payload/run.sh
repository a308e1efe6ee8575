#!/bin/sh
# The example payload of `shepard demo`: what a job's code looks like.
#
# It gets one zip (ROOT_INPUT_NAME/INPUT_ZIP_NAME), unpacks it, and leaves its results in ROOT_OUTPUT_NAME.
# FASTQ files get quality statistics; a folder without any gets checksums and line counts of every file.
# Only a POSIX shell and awk are needed.
set -eu

unpack() {
    if [ -r "$here/shepard.path" ] && [ -x "$(cat "$here/shepard.path")" ]; then
        "$(cat "$here/shepard.path")" unpack "$1" "$2"
    elif command -v unzip >/dev/null 2>&1; then
        unzip -q "$1" -d "$2"
    elif command -v python3 >/dev/null 2>&1; then
        python3 -m zipfile -e "$1" "$2"
    else
        echo "error: there is no shepard, unzip or python3 to unpack the input with" >&2
        exit 2
    fi
}

# Statistics of one FASTQ file as a table, or a sentence that says where it is broken.
fastq() {
    awk -v file="$(basename "$1")" '
        BEGIN {
            # awk cannot turn a character into its number, so look it up.
            for (i = 33; i < 127; i++) score[sprintf("%c", i)] = i - 33
        }
        NR % 4 == 1 && substr($0, 1, 1) != "@" {
            broken = "record " int(NR / 4) + 1 " does not begin with @"; exit
        }
        NR % 4 == 2 { sequence = $0 }
        NR % 4 == 3 && substr($0, 1, 1) != "+" {
            broken = "record " int(NR / 4) + 1 " has no + line"; exit
        }
        NR % 4 == 0 {
            if (length($0) != length(sequence)) {
                broken = "record " int(NR / 4) ": the sequence has " length(sequence) \
                    " bases, its quality " length($0)
                exit
            }
            reads++
            bases += length(sequence)
            gc += gsub(/[GCgc]/, "", sequence)
            for (i = 1; i <= length($0); i++) {
                q = score[substr($0, i, 1)]
                sum += q
                if (q >= 30) good++
            }
        }
        END {
            if (!broken && NR % 4) broken = "it ends in the middle of record " int(NR / 4) + 1
            if (!broken && !reads) broken = "it holds no reads"
            if (broken) {
                print "error: " file " is damaged or was cut off: " broken > "/dev/stderr"
                exit 3
            }
            print "measure\tvalue"
            print "reads\t" reads
            print "bases\t" bases
            printf "mean_length\t%.1f\n", bases / reads
            printf "gc_percent\t%.2f\n", 100 * gc / bases
            printf "mean_quality\t%.2f\n", sum / bases
            printf "q30_percent\t%.2f\n", 100 * good / bases
        }' "$1"
}

here=$(pwd)
work="$ROOT_INPUT_NAME/unpacked"
mkdir -p "$work"

echo "sample ${SAMPLE:-without a name}: unpacking $INPUT_ZIP_NAME"
unpack "$ROOT_INPUT_NAME/$INPUT_ZIP_NAME" "$work"
sleep "${PAUSE:-0}"

list="$ROOT_INPUT_NAME/files.txt"
find "$work" -type f ! -path "$work/inputs.txt" | LC_ALL=C sort > "$list"
if grep -q '\.fastq$' "$list"; then
    while IFS= read -r file; do
        case $file in *.fastq) ;; *) continue ;; esac
        name=$(basename "$file" .fastq)
        echo "reading $name.fastq, $(($(wc -l < "$file") / 4)) reads"
        sleep "${PAUSE:-0}"
        fastq "$file" > "$ROOT_INPUT_NAME/table" || exit $?
        mv "$ROOT_INPUT_NAME/table" "$ROOT_OUTPUT_NAME/$name.stats.tsv"
        while IFS="$(printf '\t')" read -r measure value; do
            [ "$measure" = measure ] || echo "  $measure: $value"
        done < "$ROOT_OUTPUT_NAME/$name.stats.tsv"
        sleep "${PAUSE:-0}"
    done < "$list"
else
    table="$ROOT_OUTPUT_NAME/files.tsv"
    printf 'checksum\tbytes\tlines\tfile\n' > "$table"
    while IFS= read -r file; do
        short=${file#"$work/"}
        sum=$(cksum < "$file" | cut -d ' ' -f 1)
        bytes=$(($(wc -c < "$file")))
        lines=$(($(wc -l < "$file")))
        printf '%s\t%s\t%s\t%s\n' "$sum" "$bytes" "$lines" "$short" >> "$table"
        echo "$short: $bytes bytes, $lines lines"
    done < "$list"
fi
echo "done: $(ls "$ROOT_OUTPUT_NAME" | tr '\n' ' ')"
