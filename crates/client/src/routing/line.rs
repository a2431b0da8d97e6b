//! Connections to servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronos_domain::Invalid;
use parking_lot::Mutex;
use tonic::transport::Channel;

use crate::pipe::Pipe;

/// Makes a channel to an address. Nothing is connected before it is used.
pub(crate) type Dial = Arc<dyn Fn(&str) -> Result<Channel, Invalid> + Send + Sync>;

/// One connection, and the append streams over it.
pub(crate) struct Line {
    channel: Channel,
    /// For appends that the server itself must do, and for those that it may forward.
    direct: Pipe,
    open: Pipe,
}

impl Line {
    fn new(channel: Channel) -> Arc<Self> {
        Arc::new(Self { channel, direct: Pipe::default(), open: Pipe::default() })
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The append streams.
    pub(crate) const fn pipe(&self, direct: bool) -> &Pipe {
        if direct { &self.direct } else { &self.open }
    }
}

/// All connections of a client: to the servers that the caller named, and to nodes that the cluster named. There is one
/// for each address.
pub(crate) struct Lines {
    seeds: Vec<(String, Arc<Line>)>,
    dialed: Mutex<BTreeMap<String, Arc<Line>>>,
    dial: Dial,
}

impl Lines {
    /// Over the channels of the servers that the caller named, each with its address if it has one.
    pub(crate) fn new(seeds: Vec<(String, Channel)>, dial: Dial) -> Self {
        assert!(!seeds.is_empty(), "a client knows at least one server");
        let seeds = seeds.into_iter().map(|(address, channel)| (address, Line::new(channel))).collect();
        Self { seeds, dialed: Mutex::new(BTreeMap::new()), dial }
    }

    /// The addresses of the servers that the caller named.
    pub(super) fn seeds(&self) -> Vec<String> {
        self.seeds.iter().map(|(address, _)| address.clone()).collect()
    }

    /// A server that the caller named.
    pub(super) fn seed(&self, seed: usize) -> Arc<Line> {
        self.seeds[seed % self.seeds.len()].1.clone()
    }

    /// The connection to an address; `None` when it is none.
    pub(super) fn to(&self, address: &str) -> Option<Arc<Line>> {
        if address.is_empty() {
            return None;
        }
        if let Some((_, line)) = self.seeds.iter().find(|(seed, _)| seed == address) {
            return Some(line.clone());
        }
        let mut dialed = self.dialed.lock();
        if let Some(line) = dialed.get(address) {
            return Some(line.clone());
        }
        let line = Line::new((self.dial)(address).ok()?);
        dialed.insert(address.to_owned(), line.clone());
        Some(line)
    }

    /// Lets go of connections to all other addresses.
    pub(super) fn keep<'a>(&self, addresses: impl Iterator<Item = &'a str>) {
        let addresses: Vec<&str> = addresses.collect();
        self.dialed.lock().retain(|address, _| addresses.contains(&address.as_str()));
    }
}
