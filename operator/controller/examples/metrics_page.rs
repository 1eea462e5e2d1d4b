//! Prints the page of the operator's metrics: `make generate` puts it into `docs/operator-metrics.md`.

fn main() {
    print!("{}", temper_operator::metrics::table::markdown());
}
