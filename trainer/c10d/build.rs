//! Compiles the C++ half of the bridge against the libtorch that torch-sys found, and tells dependents where that libtorch lies.

use std::env;
use std::path::{Path, PathBuf};

const SOURCES: [&str; 5] = ["src/parallel.cc", "src/attention.cc", "src/adamw.cc", "src/store.cc", "src/process_group.cc"];

const NCCL_SOURCE: &str = "src/process_group_nccl.cc";
const HEADERS: [&str; 6] = ["src/bridge.h", "src/parallel.h", "src/attention.h", "src/adamw.h", "src/store.h", "src/process_group.h"];

fn main() {
    // torch-sys resolves LIBTORCH (or LIBTORCH_LIB) and passes its answer on: one rule, one place.
    let library = PathBuf::from(env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys reports its library folder on Linux"));
    let include = include_folder(&library);
    let cuda = env::var_os("CARGO_FEATURE_CUDA").is_some();

    let mut build = cxx_build::bridge("src/bridge.rs");
    build
        .files(SOURCES)
        .std("c++20")
        .flag("-O2")
        .flag("-fopenmp") // at::parallel_for is a header template; without this it runs on one thread
        .define("_GLIBCXX_USE_CXX11_ABI", env::var("LIBTORCH_CXX11_ABI").as_deref().unwrap_or("1"))
        .define("USE_C10D_GLOO", None)
        .warnings(false);
    // System folders: libtorch's own warnings are not ours.
    for folder in [include.join("torch/csrc/api/include"), include.clone()] {
        build.flag("-isystem").flag(folder.to_str().expect("the libtorch folder's name is UTF-8"));
    }
    if cuda {
        build.file(NCCL_SOURCE).define("USE_C10D_NCCL", None).define("USE_CUDA", None);
        for folder in [include.join("cuda"), include.join("cuda/cccl")] {
            build.flag("-isystem").flag(folder.to_str().expect("the libtorch folder's name is UTF-8"));
        }
    }
    // Clippy, which links nothing, has a build folder of its own: a second minute of C++ would serve nobody.
    let is_clippy = env::var("RUSTC_WORKSPACE_WRAPPER").is_ok_and(|wrapper| wrapper.contains("clippy"));
    if !is_clippy {
        build.compile("temper_c10d");
    }

    println!("cargo::rustc-link-lib=dylib=torch_cpu");
    println!("cargo::rustc-link-lib=dylib=c10");
    if cuda {
        println!("cargo::rustc-link-lib=dylib=torch_cuda");
        println!("cargo::rustc-link-lib=dylib=c10_cuda");
        // What libtorch_cuda itself needs (cuDNN and others) must be there to run, not to link.
        println!("cargo::rustc-link-arg=-Wl,--allow-shlib-undefined");
    }

    // An rpath argument reaches this package's own targets only. Dependents read the metadata below
    // (`DEP_TEMPER_C10D_LIBDIR`) in their build script and print the same argument.
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", library.display());
    println!("cargo::metadata=libdir={}", library.display());
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo::rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    println!("cargo::rerun-if-env-changed=RUSTC_WORKSPACE_WRAPPER");
    // Naming the files, not the folder, spares a change of Rust code the minute of C++.
    for file in SOURCES.iter().chain(&HEADERS).chain(&[NCCL_SOURCE, "src/bridge.rs", "build.rs"]) {
        println!("cargo::rerun-if-changed={file}");
    }
}

/// Headers lie beside the libraries unless LIBTORCH_INCLUDE says otherwise, as torch-sys has it.
fn include_folder(library: &Path) -> PathBuf {
    let root = env::var_os("LIBTORCH_INCLUDE").map_or_else(|| library.join(".."), PathBuf::from);
    root.join("include")
}
