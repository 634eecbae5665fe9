//! The long run of random faults, made short.

use std::process::Command;

use testkit::binary;

#[test]
fn a_round_of_each_kind_of_installation() {
    for kind in [&[][..], &["--embedded"]] {
        let output =
            Command::new(binary("faults")).args(["--rounds", "1", "--seed", "7"]).args(kind).output();
        let output = output.expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.starts_with("seed 7\nround 1: "), "{said}");
        assert!(said.ends_with("all invariants held\n"), "{said}");
    }
}
