# shellcheck shell=bash
# Sourced by ./test and .ci/run in the root of the checkout: where they keep what a second run need not make again.
# shellcheck disable=SC2034
cache="${XDG_CACHE_HOME:-$HOME/.cache}/leadgraph"
# Outside the checkout, so that a second clone does not compile the world again
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"

# Makes the target folder this checkout's until the script ends. Cargo takes the crates of two checkouts for the
# same and compares times only: without this, one would be handed the newer program of the other.
claim_target_folder() {
    # ./test inside .ci/run: done already
    if [ "${LEADGRAPH_TARGET_CLAIMED:-}" = "$PWD $CARGO_TARGET_DIR" ]; then return; fi
    export LEADGRAPH_TARGET_CLAIMED="$PWD $CARGO_TARGET_DIR"
    mkdir -p "$CARGO_TARGET_DIR"
    if command -v flock >/dev/null; then
        exec 9>>"$CARGO_TARGET_DIR/.in-use"
        if ! flock --nonblock 9; then
            echo "waiting for another run on $CARGO_TARGET_DIR, up to an hour" >&2
            flock --wait 3600 9 || {
                echo "another run still uses $CARGO_TARGET_DIR; end it, or set another CARGO_TARGET_DIR" >&2
                exit 1
            }
        fi
    fi
    if [ "$(cat "$CARGO_TARGET_DIR/.checkout" 2>/dev/null)" != "$PWD" ]; then
        find services shared migrations -name '*.rs' -exec touch {} +
        echo "$PWD" >"$CARGO_TARGET_DIR/.checkout"
    fi
}
