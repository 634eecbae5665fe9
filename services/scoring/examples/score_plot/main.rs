//! Prints the picture of `docs/scoring.md`: `cargo run -p scoring --example score_plot > docs/scoring.svg`.

mod plot;

fn main() -> anyhow::Result<()> {
    print!("{}", plot::svg()?);
    Ok(())
}
