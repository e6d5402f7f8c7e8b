//! Warns of a slow JPEG decoder; tells the linker where libtorch is: in this build, and where anrl is installed.
//!
//! torch-sys records the library folder of `torch` once, when it is compiled. With pip's build isolation `torch` lives
//! in a temporary folder that differs for every build, so the recorded one is stale from the second build on.

use std::path::Path;
use std::process::Command;

const FIND_TORCH: &str = "import importlib.util as u, os; \
    print(os.path.join(os.path.dirname(u.find_spec('torch').origin), 'lib'))";

fn main() {
    // A path that never exists: this script runs at every build.
    println!("cargo:rerun-if-changed=always-run");
    warn_of_slow_jpeg();
    if std::env::var_os("CARGO_FEATURE_PYTHON").is_none() {
        return;
    }
    // In site-packages torch lies beside anrl, so that the extension loads before anyone has imported torch.
    println!("cargo:rustc-link-arg-cdylib=-Wl,-rpath,$ORIGIN/../torch/lib");
    let python = if std::env::var_os("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
    match Command::new(python).args(["-c", FIND_TORCH]).output() {
        Ok(output) if output.status.success() => {
            let folder = String::from_utf8_lossy(&output.stdout);
            println!("cargo:rustc-link-search=native={}", folder.trim());
        }
        _ => println!("cargo:warning=`{python}` found no package `torch`; linking may fail"),
    }
}

/// What `mozjpeg-sys` was built with stands in its generated header; cargo does not show its own warnings.
fn warn_of_slow_jpeg() {
    let folders = std::env::var_os("DEP_JPEG_INCLUDE").unwrap_or_default();
    let has_vector_code = std::env::split_paths(&folders)
        .filter_map(|folder| std::fs::read_to_string(Path::new(&folder).join("jconfig.h")).ok())
        .any(|header| header.contains("define WITH_SIMD 1"));
    if !has_vector_code {
        println!(
            "cargo:warning=libjpeg-turbo is built without its vector code, and decodes JPEG files 3 times slower: \
             install nasm, then `cargo clean -p mozjpeg-sys`, and build again"
        );
    }
}
