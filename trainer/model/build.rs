//! Lets tests and examples find libtorch at run time.

fn main() {
    if let Ok(libdir) = std::env::var("DEP_TEMPER_C10D_LIBDIR") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{libdir}");
    }
}
