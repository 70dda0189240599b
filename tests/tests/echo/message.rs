//! Messages by their descriptors: every field of every request, each filled by itself, the others as they
//! would be.

use std::collections::BTreeMap;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// All messages of `vault.v1`, by their full names.
pub struct Messages(BTreeMap<String, DescriptorProto>);

/// An RPC, and the type of what its caller says.
pub struct Rpc {
    /// `vault.v1.ScopeService/Put`
    pub method: String,
    /// `.vault.v1.PutScopeCommand`, or the request itself where nothing is signed.
    pub input: String,
    pub is_signed: bool,
}

impl Messages {
    pub fn of_the_vault() -> Self {
        let mut all = BTreeMap::new();
        for file in files() {
            for message in file.message_type {
                gather(".vault.v1", message, &mut all);
            }
        }
        Self(all)
    }

    pub fn rpcs(&self) -> Vec<Rpc> {
        let mut rpcs = Vec::new();
        for file in files() {
            for service in &file.service {
                for method in &service.method {
                    let request = method.input_type();
                    let command = request.strip_suffix("Request").map(|it| format!("{it}Command"));
                    let command = command.filter(|name| self.0.contains_key(name));
                    rpcs.push(Rpc {
                        method: format!("vault.v1.{}/{}", service.name(), method.name()),
                        is_signed: command.is_some(),
                        input: command.unwrap_or_else(|| request.to_owned()),
                    });
                }
            }
        }
        rpcs
    }

    /// The paths of all fields that hold a text or bytes.
    pub fn texts(&self, message: &str) -> Vec<Vec<i32>> {
        let mut paths = Vec::new();
        self.walk(message, &mut Vec::new(), &mut paths);
        paths
    }

    fn walk(&self, message: &str, at: &mut Vec<i32>, paths: &mut Vec<Vec<i32>>) {
        if at.len() > DEPTH_MAX {
            return;
        }
        for field in &self.0[message].field {
            at.push(field.number());
            match field.r#type() {
                Type::String | Type::Bytes => paths.push(at.clone()),
                Type::Message if self.0.contains_key(field.type_name()) => {
                    self.walk(field.type_name(), at, paths);
                }
                _ => {}
            }
            at.pop();
        }
    }

    /// A message with `text` in the field of this path, or in all fields without one.
    pub fn encode(&self, message: &str, path: Option<&[i32]>, text: &str) -> Vec<u8> {
        self.encode_at(message, path, text, 0)
    }

    fn encode_at(&self, message: &str, path: Option<&[i32]>, text: &str, depth: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut chosen = None;
        for field in &self.0[message].field {
            let (is_here, rest) = match path {
                None => (true, None),
                Some([first, rest @ ..]) if *first == field.number() => (true, Some(rest)),
                Some(_) => (false, Some(&[][..])),
            };
            // Of a choice one is set: the one that is on the way.
            if let Some(choice) = field.oneof_index
                && !field.proto3_optional()
            {
                let is_wanted = path.is_some() && is_here;
                if !is_wanted && (chosen == Some(choice) || path.is_some()) {
                    continue;
                }
                chosen = Some(choice);
            }
            let is_list = field.label() == Label::Repeated;
            let times = if is_list && is_here { 2 } else { 1 };
            for _ in 0..times {
                let value = match field.r#type() {
                    Type::String | Type::Bytes if is_here => text.to_owned().into_bytes(),
                    Type::String => usual(field).as_bytes().to_vec(),
                    Type::Bytes => vec![7; 16],
                    Type::Message if !self.0.contains_key(field.type_name()) => continue,
                    Type::Message if depth >= DEPTH_MAX => continue,
                    Type::Message => {
                        let rest = rest.filter(|_| is_here).or(path.map(|_| &[][..]));
                        self.encode_at(field.type_name(), rest, text, depth + 1)
                    }
                    _ => {
                        varint(u64::from(field.number().unsigned_abs()) << 3, &mut bytes);
                        varint(1, &mut bytes);
                        continue;
                    }
                };
                varint(u64::from(field.number().unsigned_abs()) << 3 | 2, &mut bytes);
                varint(value.len() as u64, &mut bytes);
                bytes.extend(value);
            }
        }
        bytes
    }

    /// `scope.network.allow`, of the numbers of a path.
    pub fn name(&self, message: &str, path: &[i32]) -> String {
        let (mut message, mut words) = (message.to_owned(), Vec::new());
        for number in path {
            let field = self.0[&message].field.iter().find(|field| field.number() == *number);
            let field = field.expect("a field of its message");
            words.push(field.name().to_owned());
            message = field.type_name().to_owned();
        }
        words.join(".")
    }
}

fn files() -> Vec<prost_types::FileDescriptorProto> {
    let set = FileDescriptorSet::decode(vault_proto::FILE_DESCRIPTOR_SET).expect("descriptors");
    set.file.into_iter().filter(|file| file.package() == "vault.v1").collect()
}

fn gather(above: &str, message: DescriptorProto, all: &mut BTreeMap<String, DescriptorProto>) {
    let name = format!("{above}.{}", message.name());
    for nested in message.nested_type.clone() {
        gather(&name, nested, all);
    }
    all.insert(name, message);
}

/// What somebody who means well would put there, by the field's name: the other fields must not be what
/// a message is refused for.
fn usual(field: &FieldDescriptorProto) -> &'static str {
    match field.name() {
        "name" => "other",
        "scope" => "okx-demo",
        "credential" | "credentials" => "okx-main",
        "venue" => "okx",
        "target" => "venue:kraken",
        "pair" | "reference" => "BTC/USD",
        "price" | "anchor" | "contract_size" | "max_step" => "1",
        "max_age" | "step_every" | "per" => "1h",
        "symbol" => "BTC-USDT",
        "base" => "BTC",
        "quote" => "USD",
        "size_unit" => "base",
        "product" | "products" => "spot",
        "environment" => "live",
        "classes" => "read",
        "modes" => "sign",
        "networks" | "allow" => "127.0.0.0/8",
        "method" => "GET",
        "scheme" => "https",
        "host" => "www.okx.com",
        "path" => "/api/v5/account/balance",
        "request_id" => "once",
        "timezone" => "UTC",
        "windows" => "mon-fri 09:00-17:30",
        "reason" | "description" => "a test",
        _ => "",
    }
}

fn varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Messages in messages.
const DEPTH_MAX: usize = 5;

#[test]
fn what_is_encoded_decodes_with_the_text_where_it_should_be() {
    use vault_client::v1;
    let messages = Messages::of_the_vault();
    let put = ".vault.v1.PutScopeCommand";
    let paths = messages.texts(put);
    assert!(paths.len() > 20, "a scope has many texts: {}", paths.len());
    for path in &paths {
        let bytes = messages.encode(put, Some(path), "zqxj");
        let decoded = v1::PutScopeCommand::decode(bytes.as_slice()).expect("a command");
        // Bytes are shown as numbers.
        let shown = format!("{decoded:?}");
        let as_bytes = format!("{:?}", b"zqxj".as_slice());
        let count = shown.matches("zqxj").count() + shown.matches(as_bytes.as_str()).count();
        // Lists have it twice, and lists in lists.
        assert!([1, 2, 4].contains(&count), "{}: {shown}", messages.name(put, path));
    }
    let invite = ".vault.v1.InviteClientCommand";
    let all = v1::InviteClientCommand::decode(messages.encode(invite, None, "zqxj").as_slice());
    assert_eq!(all.expect("a command").networks, ["zqxj", "zqxj"]);
}
