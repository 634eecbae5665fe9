use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use super::*;

/// A folder of this test's own, empty.
fn folder(test: &str) -> PathBuf {
    let folder = env::temp_dir().join(format!("leadgraph-provision-{test}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Makes `file` a program of the shell. Another process writes it: a child that another thread forks meanwhile would
/// keep a file of ours open for writing, and what is open for writing cannot be run (ETXTBSY).
pub(crate) fn script(file: &Path, body: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let text = file.with_extension("txt");
    fs::write(&text, format!("#!/bin/sh\n{body}\n")).unwrap();
    let mut install = std::process::Command::new("install");
    assert!(install.args(["-m", "755"]).args([&text, file]).status().unwrap().success());
    fs::remove_file(text).unwrap();
}

/// Waits until the process whose id a script wrote to `file` has ended.
async fn assert_ends(file: &Path) {
    let id = fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    // Stays where nobody waits for orphans, as in some containers
    let zombie = || {
        fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero()))
            .is_ok_and(|stat| stat.contains(") Z "))
    };
    let gone = async {
        while rustix::process::test_kill_process(id).is_ok() && !zombie() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.expect("the process ends");
}

fn args(folder: &Path) -> RouterArgs {
    RouterArgs {
        binary: None,
        cache_home: Some(folder.join("cache").into()),
        path: Some(env::join_paths([folder.join("bin"), "/usr/bin".into(), "/bin".into()]).unwrap()),
    }
}

#[tokio::test]
async fn a_named_router_must_be_a_program() {
    let folder = folder("named");
    let plain = folder.join("plain");
    fs::write(&plain, "").unwrap();
    let with = |file: &Path| RouterArgs { binary: Some(file.into()), ..args(&folder) };
    let error = provision(&with(&folder.join("none"))).await.unwrap_err().to_string();
    assert!(error.contains("none, which does not exist"), "{error}");
    let error = provision(&with(&plain)).await.unwrap_err().to_string();
    assert!(error.contains("plain, which is not an executable file"), "{error}");
    script(&plain, "echo 9.9.9");
    assert_eq!(provision(&with(&plain)).await.unwrap(), fs::canonicalize(plain).unwrap());
}

#[tokio::test]
async fn path_wins_over_the_cache_when_it_is_our_version_exactly() {
    let folder = folder("path");
    let (in_path, args) = (folder.join("bin/router"), args(&folder));
    let in_cache = cached(&args.cache_dir().unwrap());
    script(&in_cache, "");
    script(&in_path, "echo 2.16.50");
    assert_eq!(provision(&args).await.unwrap(), in_cache);
    script(&in_path, "echo 2.16.5");
    assert_eq!(provision(&args).await.unwrap(), in_path);
}

#[tokio::test]
async fn a_build_lands_in_the_cache_and_cleans_up() {
    let folder = folder("build");
    let body = r#"test -x "$PROTOC" && test -f "$PROTOC_INCLUDE/google/protobuf/timestamp.proto" || exit 1
while [ $# -gt 0 ]; do [ "$1" = --root ] && root=$2; [ "$1" = --target-dir ] && target=$2; shift; done
mkdir -p "$root/bin" "$target" && echo "   Compiling x v1" >&2 && printf '#!/bin/sh\n' > "$root/bin/router"
chmod +x "$root/bin/router""#;
    script(&folder.join("bin/cargo"), body);
    let args = args(&folder);
    let cache = args.cache_dir().unwrap();
    assert_eq!(provision(&args).await.unwrap(), cached(&cache));
    assert!(is_executable(&cached(&cache)));
    assert!(!cache.join("target").exists() && !cache.join("install").exists());
    assert_eq!(fs::read_to_string(cache.join("build.log")).unwrap(), "   Compiling x v1\n");
}

#[tokio::test]
async fn a_failed_build_names_its_log_and_repeats_its_end() {
    let folder = folder("failed");
    script(&folder.join("bin/cargo"), "echo 'error: no linker' >&2; exit 101");
    let error = provision(&args(&folder)).await.unwrap_err().to_string();
    assert!(error.contains("build.log\nerror: no linker"), "{error}");
}

#[tokio::test]
async fn a_build_that_is_given_up_ends_with_what_cargo_started() {
    let folder = folder("given-up");
    let ids = ["cargo", "compiler"].map(|name| folder.join(name));
    let body = format!("sleep 60 & echo $! > {1}; echo $$ > {0}; wait", ids[0].display(), ids[1].display());
    script(&folder.join("bin/cargo"), &body);
    let args = args(&folder);
    let started = async {
        // Written last, and not empty
        while !fs::read_to_string(&ids[0]).is_ok_and(|id| id.ends_with('\n')) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        built = provision(&args) => panic!("{built:?}"),
        started = timeout(Duration::from_secs(20), started) => started.expect("cargo starts"),
    }
    for id in &ids {
        assert_ends(id).await;
    }
}

#[tokio::test]
async fn without_cargo_the_error_says_what_to_install() {
    let folder = folder("no-cargo");
    let args = RouterArgs { path: Some(folder.join("bin").into()), ..args(&folder) };
    let error = provision(&args).await.unwrap_err().to_string();
    assert!(error.contains("no cargo in PATH") && error.contains("APOLLO_ROUTER"), "{error}");
}

#[tokio::test]
async fn two_launchers_build_once() {
    let folder = folder("lock");
    let body = r#"while [ $# -gt 0 ]; do [ "$1" = --root ] && root=$2; shift; done
mkdir "$root" || exit 1; sleep 0.3; mkdir "$root/bin"; echo >> "$0.runs"
printf '#!/bin/sh\n' > "$root/bin/router"; chmod +x "$root/bin/router""#;
    script(&folder.join("bin/cargo"), body);
    let args = args(&folder);
    let (first, second) = tokio::join!(provision(&args), provision(&args));
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(fs::read_to_string(folder.join("bin/cargo.runs")).unwrap(), "\n");
}

/// Answers one GET with `body`; returns the address.
fn serve_once(body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    });
    url
}

#[tokio::test]
async fn a_download_is_installed_only_when_its_checksum_is_the_pinned_one() {
    let folder = folder("download");
    script(&folder.join("dist/router"), "echo 2.16.5");
    let mut tar = std::process::Command::new("tar");
    assert!(tar.args(["-czf", "a.tgz", "dist"]).current_dir(&folder).status().unwrap().success());
    let archive = fs::read(folder.join("a.tgz")).unwrap();
    let checksum = download::sha256(&archive);
    let binary = folder.join("got/router");
    let target = download::target().unwrap();
    for (pinned, installed) in [("00", false), (checksum.as_str(), true)] {
        let url = serve_once(archive.clone());
        let release = download::Release { url: &url, checksums: &[(target, pinned)] };
        assert_eq!(download::download(&release, &binary).await.is_ok(), installed);
        assert_eq!(is_executable(&binary), installed);
    }
    let release = download::Release { url: "http://127.0.0.1:1", checksums: &[] };
    assert!(!download::download(&release, &binary).await.unwrap(), "no checksum, no download");
}
