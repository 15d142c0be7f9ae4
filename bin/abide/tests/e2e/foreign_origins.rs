//! The balancer before servers that nobody here wrote, asked by a client that nobody here wrote.

use std::process::Command;

use crate::harness::origin::{balancer, nginx, python_file_server};
use crate::harness::{Folder, Process};

/// Asks with curl, and gives what it printed.
fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs `curl`: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn url(balancer: &Process, path: &str) -> String {
    format!("http://{}{path}", balancer.listen())
}

#[test]
fn nginx_and_pythons_file_server_behind_the_balancer_answer_curl() {
    let folder = Folder::new("foreign");
    let big = "0123456789abcdef".repeat(64 * 1024);
    folder.write("big", &big);
    folder.write("small", "hello\n");
    let (nginx, python) = (nginx(folder.path()), python_file_server(folder.path()));
    let balancer = balancer(
        &format!("--threads 1 --server n={} --server p={}", nginx.address, python.address),
        None,
    );
    let small = url(&balancer, "/small");

    // Each gets new visitors in turn.
    let mut servers: Vec<String> = (0..2)
        .map(|_| {
            curl(&["-o", "/dev/null", "-w", "%header{x-abide-verdict} %header{server}", &small])
        })
        .collect();
    servers.sort();
    assert!(servers[0].starts_with("n new nginx"), "{servers:?}");
    assert!(servers[1].starts_with("p new SimpleHTTP"), "{servers:?}");

    // A visitor with a jar stays, over many connections.
    for _ in 0..2 {
        let jar = folder.write("jar", "");
        let ask = |more: &[&str]| {
            let arguments =
                [&["-b", &jar, "-c", &jar, "-w", "|%header{x-abide-verdict}"], more].concat();
            curl(&arguments)
        };
        let first = ask(&[&small]);
        let home = first.strip_prefix("hello\n|").unwrap().split(' ').next().unwrap().to_owned();
        let sticky = format!("|{home} sticky");
        for _ in 0..5 {
            assert_eq!(ask(&[&small]), format!("hello\n{sticky}"));
        }
        assert_eq!(ask(&[&url(&balancer, "/big")]), format!("{big}{sticky}"), "a mebibyte, whole");
        assert!(ask(&["-I", &small]).contains("200 OK"), "HEAD");
        assert!(ask(&["-I", &small]).ends_with(&sticky));
        assert!(
            ask(&["-o", "/dev/null", "-w", "%{http_code}", &url(&balancer, "/none")])
                .contains("404")
        );
        // Python's server refuses content without reading it, which may cost its answer; nginx reads.
        if home == "n" {
            let body = format!("@{}/big", folder.path().display());
            let posted = ["-o", "/dev/null", "-w", "%{http_code}", "--data-binary", &body, &small];
            assert!(ask(&posted).contains("405"), "a mebibyte of content");
            let chunked = [&["-H", "Transfer-Encoding: chunked"], &posted[..]].concat();
            assert!(ask(&chunked).contains("405"), "the same in pieces");
        }
    }
}

#[test]
fn one_of_two_foreign_servers_dies_and_curl_sees_no_error() {
    let folder = Folder::new("foreign-death");
    folder.write("small", "hello\n");
    let (mut nginx, mut python) = (nginx(folder.path()), python_file_server(folder.path()));
    let balancer = balancer(
        &format!("--threads 1 --server n={} --server p={}", nginx.address, python.address),
        None,
    );
    let jar = folder.write("jar", "");
    let url = url(&balancer, "/small");
    let ask = || {
        curl(&[
            "-f",
            "-b",
            &jar,
            "-c",
            &jar,
            "-o",
            "/dev/null",
            "-w",
            "%header{x-abide-verdict}",
            &url,
        ])
    };
    let first = ask();
    let (home, other) = if first.starts_with('n') { ("n", "p") } else { ("p", "n") };
    assert_eq!(ask(), format!("{home} sticky"));
    if home == "n" {
        nginx.kill();
    } else {
        python.kill();
    }
    let moved = ask();
    assert!(moved.starts_with(&format!("{other} moved:")), "{moved}");
    assert_eq!(ask(), format!("{other} sticky"));
}
