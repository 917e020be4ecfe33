# Sourced by the scripts beside it.

# Runs a command as a named stage and says how long it took.
stage() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@" || { printf '== %s FAILED after %d s\n' "$name" $((SECONDS - start)); exit 1; }
    printf '== %s: %d s\n' "$name" $((SECONDS - start))
}
