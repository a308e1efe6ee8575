# Shorthands for what is done often; each is one command that works without just.

# Everything CI checks
ci:
    .ci/run

# Every test
test:
    cargo test --workspace --locked

# Format, then lint as CI does
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Write the generated files
generate:
    cargo xtask generate

# The demo
demo:
    cargo run --release -- demo
