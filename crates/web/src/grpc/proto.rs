//! What is made of the .proto file: messages, and the trait of the service. It owns nothing.

#![allow(missing_docs, unreachable_pub, dead_code, clippy::all, reason = "it is generated")]

tonic::include_proto!("stockd.v1");
