//! Writes libtorch's folder into this package's binaries and tests, so that they run from anywhere.

fn main() {
    let libdir = std::env::var("DEP_TEMPER_C10D_LIBDIR").expect("temper-c10d, a direct dependency, reports libtorch's folder");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{libdir}");
    println!("cargo::rerun-if-changed=build.rs");
}
