//! The committed CRD YAML is what the types say.

use std::path::Path;

#[test]
fn committed_yaml_is_what_crdgen_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    for (name, crd) in temper_crds::crd::all() {
        let wanted = temper_crds::crd::to_yaml(&crd).expect("a CRD is plain data");
        let committed = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(committed == wanted, "crds/generated/{name} is stale: run `make generate` and commit what it writes");
    }
    let files = std::fs::read_dir(&folder).expect("the folder of generated files").count();
    assert_eq!(files, temper_crds::crd::all().len(), "crds/generated has a file that no type makes");
}
