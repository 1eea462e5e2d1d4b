//! The `temper-operator` binary; everything is in the library, where tests reach it.

fn main() -> std::process::ExitCode {
    temper_operator::main()
}
