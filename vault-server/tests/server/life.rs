//! `run`: start, seal, stop, and death.

use rustix::process::Signal;

use crate::bed::{Bed, PASSPHRASE, eventually, json, lives, stderr};

const CHILDREN: [&str; 3] = ["pid_front", "pid_core", "pid_egress"];

#[test]
fn unseals_seals_and_starts_anew() {
    let bed = Bed::new(&[]);
    let mut server = bed.start();
    assert_eq!(server.ready["event"], "ready");
    assert_eq!(server.ready["state"], "sealed");
    let (bot, children) = (server.ready["bot"].clone(), CHILDREN.map(|child| server.pid(child)));
    assert!(!bot.as_str().expect("an address").ends_with(":0"));

    bed.unseal();
    assert_eq!(bed.state(), "unsealed");
    json(&bed.run(&["seal"], ""));

    let event = server.event();
    assert_eq!((&event["event"], &event["state"]), (&"restarted".into(), &"sealed".into()));
    assert_eq!(event["bot"], bot);
    for (child, before) in CHILDREN.into_iter().zip(children) {
        assert_ne!(server.pid(child), before);
        assert!(!lives(before));
    }
    assert_eq!(bed.state(), "sealed");
    bed.unseal();
    assert_eq!(bed.state(), "unsealed");
}

#[test]
fn a_wrong_passphrase_is_3_and_leaves_it_sealed() {
    let bed = Bed::new(&[]);
    let _server = bed.start();
    let output = bed.run(&["unseal", "--passphrase-stdin"], "not the passphrase");

    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(bed.state(), "sealed");
}

#[test]
fn reissue_asks_for_an_open_vault_and_a_known_operator() {
    let bed = Bed::new(&[]);
    let _server = bed.start();
    assert_eq!(bed.run(&["operator", "reissue", "nobody"], "").status.code(), Some(5));
    bed.unseal();
    assert_eq!(bed.run(&["operator", "reissue", "nobody"], "").status.code(), Some(4));
}

#[test]
fn ends_in_order_when_told_to() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let bed = Bed::new(&[]);
        let server = bed.start();
        bed.unseal();
        let children = CHILDREN.map(|child| server.pid(child));
        server.signal("pid", signal);
        let (status, log) = server.end();

        assert!(status.success(), "{log}");
        assert!(children.iter().all(|pid| !lives(*pid)));
        assert!(!bed.data().join("vault.sock").exists());
        // And can be started again.
        bed.start();
    }
}

#[test]
fn children_do_not_heed_the_signals_of_a_terminal() {
    let bed = Bed::new(&[]);
    let server = bed.start();
    for child in CHILDREN {
        server.signal(child, Signal::INT);
        server.signal(child, Signal::TERM);
    }
    assert_eq!(bed.state(), "sealed");
}

#[test]
fn if_a_child_dies_all_stop_and_the_last_line_says_which() {
    for name in ["core", "egress", "front"] {
        let bed = Bed::new(&[]);
        let server = bed.start();
        let children = CHILDREN.map(|child| server.pid(child));
        server.signal(&format!("pid_{name}"), Signal::KILL);
        let (status, log) = server.end();

        assert_eq!(status.code(), Some(70), "{log}");
        let last = format!(
            "vault-server: error: the {name} was killed by signal 9 (SIGKILL); everything is stopped"
        );
        assert_eq!(log.lines().last(), Some(last.as_str()), "{log}");
        assert!(children.iter().all(|pid| !lives(*pid)));
    }
}

#[test]
fn children_do_not_outlive_the_supervisor() {
    let bed = Bed::new(&[]);
    let server = bed.start();
    let children = CHILDREN.map(|child| server.pid(child));
    server.signal("pid", Signal::KILL);

    assert!(eventually(|| children.iter().all(|pid| !lives(*pid))));
    // Its socket lies there still, and is no hindrance.
    bed.start();
    assert_eq!(bed.run(&["status"], "").status.code(), Some(6));
}

#[test]
fn an_override_outside_development_ends_the_start() {
    let bed = Bed::new(&[]);
    let path = bed.data().join("config.toml");
    let text = std::fs::read_to_string(&path).expect("read");
    let text = text.replace("development = true", "development = false");
    let text = text + "\n[[egress.override]]\nhost = \"*\"\nconnect = \"127.0.0.1:1\"\n";
    std::fs::write(&path, text).expect("written");
    let output = bed.run(&["run"], "");

    assert_eq!(output.status.code(), Some(1));
    let words = stderr(&output);
    assert!(words.contains("egress.override needs development = true"), "{words}");
}

#[test]
fn a_second_supervisor_is_turned_away() {
    let bed = Bed::new(&[]);
    let _server = bed.start();
    let output = bed.run(&["run"], "");

    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("runs on"), "{}", stderr(&output));
    assert_eq!(bed.state(), "sealed");
}

#[test]
fn children_get_nothing_that_they_do_not_need() {
    let bed = Bed::new(&[]);
    let server = bed.start();
    bed.unseal();
    for child in CHILDREN {
        let proc = format!("/proc/{}", server.pid(child));
        let limits = std::fs::read_to_string(format!("{proc}/limits")).expect("read");
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        let numbers: Vec<&str> = core.expect("a line").split_whitespace().skip(4).take(2).collect();
        assert_eq!(numbers, ["0", "0"]);
        let status = std::fs::read_to_string(format!("{proc}/status")).expect("read");
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        let arguments = std::fs::read(format!("{proc}/cmdline")).expect("read");
        assert!(!String::from_utf8_lossy(&arguments).contains(&PASSPHRASE[..6]));
        // The file is root's, since the process cannot be dumped.
        if rustix::process::geteuid().is_root() {
            let environment = std::fs::read(format!("{proc}/environ")).expect("read");
            assert!(!String::from_utf8_lossy(&environment).contains("canary"));
        } else {
            assert!(std::fs::read(format!("{proc}/environ")).is_err());
        }
    }
}
