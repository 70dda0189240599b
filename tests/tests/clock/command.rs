//! Commands and approvals are good for their time by the wall clock, and once by any clock.

use std::time::{Duration, SystemTime};

use vault_client::{approve_scope, v1};
use vault_policy::ScopeDocument;
use vault_tests::{KRAKEN_SCOPE, scope};
use vault_wire::scope_hash;

use crate::{DAY, HOUR, World};

const PUT: &str = "vault.v1.ScopeService/Put";
const LIST: &str = "vault.v1.ClientService/List";

fn put(toml: &str, approvals: Vec<v1::Approval>) -> v1::PutScopeCommand {
    v1::PutScopeCommand { scope: Some(scope(toml)), approvals, ..Default::default() }
}

impl World {
    /// A command of the admin, made now by the vault's wall clock.
    fn made(&self, method: &str, body: &impl prost::Message) -> v1::SignedCommand {
        let admin = self.vault.identity("admin");
        vault_client::signed_command(&admin, method, body, self.now()).expect("signed")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_good_for_its_time_by_the_vaults_wall_clock() {
    let world = World::start().await;
    let early = world.made(LIST, &v1::ListClientsCommand::default());
    for offset_s in [HOUR, -HOUR, DAY, -DAY] {
        world.step(offset_s);
        let answer = world.send("admin", LIST, early.clone()).await;
        assert_eq!(answer.err().as_deref(), Some("COMMAND_EXPIRED"), "at {offset_s}");
        let here = world.made(LIST, &v1::ListClientsCommand::default());
        world.send("admin", LIST, here).await.expect("made now");
    }
    world.step(0);
    world.send("admin", LIST, early).await.expect("its time is not over, and it was not used");
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_heard_once_whatever_the_wall_clock_does_and_a_restart_forgets_no_act() {
    let mut world = World::start().await;
    let (act, look) = (put(KRAKEN_SCOPE, Vec::new()), v1::ListClientsCommand::default());
    let mut used = Vec::new();
    // In the order in which those of before would be forgotten by who goes by the wall clock.
    for offset_s in [-DAY, -HOUR, 0, HOUR, DAY] {
        world.step(offset_s);
        for (method, command) in [(PUT, world.made(PUT, &act)), (LIST, world.made(LIST, &look))] {
            world.send("admin", method, command.clone()).await.expect("made now");
            used.push((offset_s, method, command));
        }
    }
    let again = async |world: &World, acts_alone: bool| {
        let used = used.iter().filter(|(_, method, _)| !acts_alone || *method == PUT);
        for (offset_s, method, command) in used {
            world.step(*offset_s);
            let answer = world.send("admin", method, command.clone()).await.err();
            assert_eq!(answer.as_deref(), Some("COMMAND_REPLAYED"), "{method} at {offset_s}");
        }
    };
    let state_rev = world.vault.state_rev();
    again(&world, false).await;
    world.step(DAY);
    world.vault.restart().await;
    again(&world, true).await;
    world.step(-DAY);
    world.vault.kill_core().await;
    world.vault.run_and_unseal().await;
    again(&world, true).await;
    assert_eq!(world.vault.state_rev(), state_rev);
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_good_once_whatever_the_wall_clock_does() {
    const PAYS: &str = r#"
        name = "pays"
        credentials = ["kraken-main"]
        classes = ["read", "withdraw"]
        modes = ["execute"]
        [network]
        allow = ["10.0.0.0/8"]
        [withdrawal]
        addresses = [{ venue = "kraken", asset = "XBT", address = "cold" }]
        per_day = [{ venue = "kraken", asset = "XBT", at_most = "0.5" }]
    "#;
    let mut world = World::start().await;
    let bob = world.vault.operator("bob", v1::Role::Admin).await;
    let document = ScopeDocument::from_toml(PAYS).expect("a scope");
    let hash = scope_hash(&document).expect("canonical JSON");
    let until = SystemTime::now() + Duration::from_secs(600);
    let approval = approve_scope(&bob, &hash, 0, until).expect("signed");
    let pays = put(PAYS, vec![approval]);
    let change = async |world: &World, body: &v1::PutScopeCommand| {
        let answer: Result<v1::PutScopeResponse, String> = world.command("admin", PUT, body).await;
        answer.map(|answer| answer.revision)
    };
    for offset_s in [HOUR, DAY] {
        world.step(offset_s);
        assert_eq!(change(&world, &pays).await, Err("APPROVAL_EXPIRED".to_owned()));
    }
    world.step(0);
    assert_eq!(change(&world, &pays).await, Ok(1));
    let delete = v1::DeleteScopeCommand { name: "pays".to_owned() };
    let _: v1::DeleteScopeResponse =
        world.command("admin", "vault.v1.ScopeService/Delete", &delete).await.expect("deleted");
    // What comes after it is the change of another day: nobody may forget what was used today.
    world.step(DAY);
    change(&world, &put(KRAKEN_SCOPE, Vec::new())).await.expect("a change");
    world.step(0);
    assert_eq!(change(&world, &pays).await, Err("APPROVAL_USED".to_owned()));
    world.step(DAY);
    world.vault.restart().await;
    world.step(-HOUR);
    assert_eq!(change(&world, &pays).await, Err("APPROVAL_USED".to_owned()));
    world.verify();
}
