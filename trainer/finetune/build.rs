//! Writes libtorch's folder into this package's binaries and tests, so that they run from anywhere.

fn main() {
    let libdir = std::env::var("DEP_TEMPER_C10D_LIBDIR").expect("temper-c10d, a direct dependency, reports libtorch's folder");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{libdir}");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_some() {
        // What libtorch_cuda itself needs (cuDNN and others) must be there to run, not to link.
        println!("cargo::rustc-link-arg=-Wl,--allow-shlib-undefined");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
