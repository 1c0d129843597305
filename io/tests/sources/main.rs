//! The sources, through their public doors: the contract between source and sink, kept by memory, file, blocking
//! and HTTP sources alike, and how an index is read through any of them.

mod blame;
mod cache;
mod http;
mod index;
mod job;
mod local;
mod mirrors;
mod options;
mod packs;
mod parts;
mod present;
mod redirect;
mod replaced;
mod server;
mod several;
mod sink;
mod tree;
mod trust;
