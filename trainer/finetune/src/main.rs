//! The temper-trainer binary: prepare, train, evaluate, generate, publish.

fn main() -> std::process::ExitCode {
    temper_trainer::main()
}
