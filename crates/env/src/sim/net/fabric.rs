//! The state of the network: who exists, what is under way, who listens where.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;
use tokio::io::ReadBuf;

use super::link::{Link, Route};
use super::pipe::{Found, Pipe, reset_error};
use super::stream::{Side, SimStream};
use crate::Entropy;
use crate::sim::{Trace, VirtualTime};

/// The first packet of a connection that got no answer is sent again after this.
const KNOCK_AGAIN: Duration = Duration::from_millis(250);
/// Connections that wait to be accepted at one port; more are not let in, as if their first packet were lost.
const BACKLOG: usize = 1024;
const FIRST_FREE_PORT: u16 = 49_152;

/// A host by number, from 1, in the order in which they were first named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostId(u16);

impl HostId {
    fn ip(self) -> IpAddr {
        let [high, low] = self.0.to_be_bytes();
        Ipv4Addr::new(10, 0, high, low).into()
    }
}

/// A handle to the network. Clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Fabric(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    time: VirtualTime,
    trace: Trace,
}

struct State {
    entropy: Entropy,
    hosts: BTreeMap<HostId, Host>,
    routes: BTreeMap<(HostId, HostId), Route>,
    backlogs: BTreeMap<(HostId, u16), Backlog>,
    /// By connection; `[0]` carries from the side that connected to the side that accepted.
    connections: BTreeMap<u64, [Pipe; 2]>,
    connections_begun: u64,
    /// Whom one reaches who means another one.
    misled: BTreeMap<(HostId, HostId), HostId>,
    /// Who can have no connection more.
    exhausted: BTreeSet<HostId>,
}

struct Host {
    name: String,
    /// Counts processes; streams and listeners remember theirs.
    life: u64,
    next_port: u16,
}

struct Backlog {
    waiting: VecDeque<SimStream>,
    acceptor: Option<Waker>,
}

impl Fabric {
    pub(super) fn new(entropy: Entropy, time: VirtualTime, trace: Trace) -> Fabric {
        let state = State {
            entropy,
            hosts: BTreeMap::new(),
            routes: BTreeMap::new(),
            backlogs: BTreeMap::new(),
            connections: BTreeMap::new(),
            connections_begun: 0,
            misled: BTreeMap::new(),
            exhausted: BTreeSet::new(),
        };
        Fabric(Arc::new(Shared { state: Mutex::new(state), time, trace }))
    }

    /// The host of that name, new if there is none yet.
    pub(crate) fn host(&self, name: &str) -> HostId {
        let mut state = self.0.state.lock();
        if let Some(known) = state.find(name) {
            return known;
        }
        let id = HostId(u16::try_from(state.hosts.len() + 1).expect("a world has fewer than 65,536 hosts"));
        state.hosts.insert(id, Host { name: name.to_owned(), life: 0, next_port: FIRST_FREE_PORT });
        id
    }

    pub(crate) fn life(&self, host: HostId) -> u64 {
        self.0.state.lock().host(host).life
    }

    /// Ends the process on `host`: its listeners are gone, its connections reset, its handles dead.
    pub(crate) fn kill(&self, host: HostId) {
        let now = self.0.time.elapsed();
        let mut state = self.0.state.lock();
        let State { hosts, routes, backlogs, connections, entropy, .. } = &mut *state;
        let of = hosts.get_mut(&host).expect("a host is never forgotten");
        of.life += 1;
        self.0.trace.enter("kill", &of.name, &[of.life]);
        // Dropping a waiting stream takes this lock, so they are dropped after it.
        let dead: Vec<_> = backlogs.extract_if(.., |(at, _), _| *at == host).collect();
        for pipe in connections.values_mut().flatten().filter(|pipe| pipe.from == host || pipe.to == host) {
            if pipe.from == host {
                pipe.send_reset(now, route(routes, entropy, pipe.from, pipe.to));
            }
            if pipe.to == host {
                pipe.abandon();
            }
            pipe.wake_all();
        }
        drop(state);
        dead.into_iter().filter_map(|(_, backlog)| backlog.acceptor).for_each(Waker::wake);
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.state.lock().hosts.values().map(|host| host.name.clone()).collect()
    }

    pub(super) fn connections(&self) -> usize {
        self.0.state.lock().connections.len()
    }

    // ---------------------------------------------------------------------------------------- torture

    pub(super) fn block(&self, from: &str, to: &str) {
        let (from, to) = (self.host(from), self.host(to));
        let now = self.0.time.elapsed();
        let mut state = self.0.state.lock();
        let State { routes, connections, entropy, .. } = &mut *state;
        route(routes, entropy, from, to).block();
        pipes(connections, from, to).for_each(|pipe| pipe.hold_up(now));
        self.0.trace.enter("partition", "", &[from.0.into(), to.0.into()]);
    }

    pub(super) fn unblock(&self, from: &str, to: &str) {
        let (from, to) = (self.host(from), self.host(to));
        self.unblock_route(from, to);
    }

    pub(super) fn unblock_all(&self) {
        let blocked: Vec<_> = {
            let state = self.0.state.lock();
            state.routes.iter().filter(|(_, route)| route.is_blocked()).map(|(ends, _)| *ends).collect()
        };
        blocked.into_iter().for_each(|(from, to)| self.unblock_route(from, to));
    }

    fn unblock_route(&self, from: HostId, to: HostId) {
        let now = self.0.time.elapsed();
        let mut state = self.0.state.lock();
        let State { routes, connections, entropy, .. } = &mut *state;
        let route = route(routes, entropy, from, to);
        if !route.is_blocked() {
            return;
        }
        route.unblock(now);
        pipes(connections, from, to).for_each(|pipe| pipe.send_again(now, route));
        self.0.trace.enter("heal", "", &[from.0.into(), to.0.into()]);
    }

    pub(super) fn each_between(&self, a: &str, b: &str, act: fn(&mut Pipe, Duration)) {
        let (a, b) = (self.host(a), self.host(b));
        let now = self.0.time.elapsed();
        let mut state = self.0.state.lock();
        for pipe in state.connections.values_mut().flatten() {
            if (pipe.from, pipe.to) == (a, b) || (pipe.from, pipe.to) == (b, a) {
                act(pipe, now);
            }
        }
        self.0.trace.enter("break connections", "", &[a.0.into(), b.0.into()]);
    }

    pub(super) fn set_link(&self, from: &str, to: &str, link: Link) {
        let (from, to) = (self.host(from), self.host(to));
        let mut state = self.0.state.lock();
        let State { routes, entropy, .. } = &mut *state;
        route(routes, entropy, from, to).set_link(link);
    }

    pub(super) fn mislead(&self, from: &str, to: &str, instead: &str) {
        let [from, to, instead] = [from, to, instead].map(|name| self.host(name));
        let mut state = self.0.state.lock();
        if to == instead {
            state.misled.remove(&(from, to));
        } else {
            state.misled.insert((from, to), instead);
        }
        self.0.trace.enter("mislead", "", &[from.0.into(), to.0.into(), instead.0.into()]);
    }

    pub(super) fn no_more_connections(&self, host: &str, is_so: bool) {
        let host = self.host(host);
        let mut state = self.0.state.lock();
        if is_so {
            state.exhausted.insert(host);
        } else {
            state.exhausted.remove(&host);
        }
        self.0.trace.enter("no more connections", "", &[host.0.into(), is_so.into()]);
    }

    // ---------------------------------------------------------------------------------------- listening

    pub(super) fn listen(&self, host: HostId, life: u64, on: &str) -> io::Result<SocketAddr> {
        let mut state = self.0.state.lock();
        state.alive(host, life)?;
        let (at, port) = state.resolve(host, on)?;
        if at.is_some_and(|at| at != host) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let port = if port == 0 { state.free_port(host) } else { port };
        if state.backlogs.contains_key(&(host, port)) {
            return Err(ErrorKind::AddrInUse.into());
        }
        state.backlogs.insert((host, port), Backlog { waiting: VecDeque::new(), acceptor: None });
        let named: Option<IpAddr> = on.rsplit_once(':').and_then(|(name, _)| name.parse().ok());
        Ok(SocketAddr::new(named.unwrap_or_else(|| host.ip()), port))
    }

    pub(super) fn stop_listening(&self, host: HostId, life: u64, port: u16) {
        let closed = {
            let mut state = self.0.state.lock();
            // The port of a killed process may belong to its successor by now.
            if state.alive(host, life).is_err() { None } else { state.backlogs.remove(&(host, port)) }
        };
        // Dropping the streams that nobody accepted takes the lock again.
        drop(closed);
    }

    pub(super) fn poll_accept(
        &self,
        host: HostId,
        life: u64,
        port: u16,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<SimStream>> {
        let mut state = self.0.state.lock();
        state.alive(host, life)?;
        state.may_connect(host)?;
        let backlog = state.backlogs.get_mut(&(host, port)).expect("a living listener has a backlog");
        if let Some(stream) = backlog.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        backlog.acceptor = Some(cx.waker().clone());
        Poll::Pending
    }

    // ---------------------------------------------------------------------------------------- connecting

    /// Knocks until there is an answer. Cancel-safe: a connection made for a caller that left ends at once.
    #[expect(clippy::disallowed_methods, reason = "inside the runtime of a world this is virtual time")]
    pub(super) async fn connect(&self, host: HostId, life: u64, to: &str) -> io::Result<SimStream> {
        let (at, port) = {
            let state = self.0.state.lock();
            state.alive(host, life)?;
            state.may_connect(host)?;
            let (at, port) = state.resolve(host, to)?;
            let meant = at.unwrap_or(host);
            (state.misled.get(&(host, meant)).copied().unwrap_or(meant), port)
        };
        loop {
            let Some(there) = self.travel(host, at) else {
                tokio::time::sleep(KNOCK_AGAIN).await;
                continue;
            };
            tokio::time::sleep(there).await;
            let answer = self.knock(host, life, at, port)?;
            match self.travel(at, host) {
                Some(back) => tokio::time::sleep(back).await,
                // The answer is held up: in the real world it is sent again, too.
                None => {
                    while self.travel(at, host).is_none() {
                        tokio::time::sleep(KNOCK_AGAIN).await;
                    }
                }
            }
            match answer {
                Answer::Open(stream) => return Ok(stream),
                Answer::Refused => return Err(ErrorKind::ConnectionRefused.into()),
                Answer::Nothing => tokio::time::sleep(KNOCK_AGAIN).await,
            }
        }
    }

    /// How long a packet takes; `None` when none passes.
    fn travel(&self, from: HostId, to: HostId) -> Option<Duration> {
        let mut state = self.0.state.lock();
        let State { routes, entropy, .. } = &mut *state;
        let route = route(routes, entropy, from, to);
        (!route.is_blocked()).then(|| route.latency())
    }

    fn knock(&self, host: HostId, life: u64, at: HostId, port: u16) -> io::Result<Answer> {
        let mut state = self.0.state.lock();
        state.alive(host, life)?;
        let life_there = state.host(at).life;
        let own_port = state.free_port(host);
        let number = state.connections_begun;
        let Some(backlog) = state.backlogs.get_mut(&(at, port)) else { return Ok(Answer::Refused) };
        if backlog.waiting.len() >= BACKLOG {
            return Ok(Answer::Nothing);
        }
        let (near, far) = (SocketAddr::new(host.ip(), own_port), SocketAddr::new(at.ip(), port));
        let stream =
            |side, host, life, addresses| SimStream::new(self.clone(), number, side, host, life, addresses);
        backlog.waiting.push_back(stream(Side::Accepted, at, life_there, (far, near)));
        if let Some(acceptor) = backlog.acceptor.take() {
            acceptor.wake();
        }
        state.connections_begun += 1;
        state.connections.insert(number, [Pipe::new(host, at), Pipe::new(at, host)]);
        self.0.trace.enter("connect", "", &[number, host.0.into(), at.0.into(), port.into()]);
        Ok(Answer::Open(stream(Side::Connected, host, life, (near, far))))
    }

    // ---------------------------------------------------------------------------------------- bytes

    pub(super) fn read(
        &self,
        of: &StreamId,
        into: &mut ReadBuf<'_>,
        cx: &mut Context<'_>,
    ) -> io::Result<Found> {
        let now = self.0.time.elapsed();
        let mut state = self.0.state.lock();
        state.alive(of.host, of.life)?;
        let Some([_, incoming]) = state.ends(of) else { return Err(reset_error()) };
        let found = incoming.read(into, now, cx.waker());
        if let Found::Bytes { fresh: Some((length, sum)) } = &found {
            let direction = u64::from(of.side == Side::Connected);
            self.0.trace.enter("deliver", "", &[of.number, direction, *length as u64, u64::from(*sum)]);
        }
        Ok(found)
    }

    pub(super) fn poll_write(
        &self,
        of: &StreamId,
        data: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let now = self.0.time.elapsed();
        let mut state = self.0.state.lock();
        state.alive(of.host, of.life)?;
        let State { routes, connections, entropy, .. } = &mut *state;
        let Some([outgoing, incoming]) = connections.get_mut(&of.number).map(|pair| of.side.order(pair))
        else {
            return Poll::Ready(Err(reset_error()));
        };
        if incoming.is_reset(now) {
            return Poll::Ready(Err(reset_error()));
        }
        if outgoing.is_ended {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        if outgoing.is_unread {
            incoming.send_reset(now, route(routes, entropy, incoming.from, incoming.to));
            return Poll::Ready(Ok(data.len()));
        }
        let route = route(routes, entropy, outgoing.from, outgoing.to);
        outgoing.write(data, now, route, cx.waker()).map_or(Poll::Pending, |count| Poll::Ready(Ok(count)))
    }

    pub(super) fn end(&self, of: &StreamId) -> io::Result<()> {
        let now = self.0.time.elapsed();
        let mut state = self.0.state.lock();
        state.alive(of.host, of.life)?;
        let State { routes, connections, entropy, .. } = &mut *state;
        if let Some([outgoing, _]) = connections.get_mut(&of.number).map(|pair| of.side.order(pair)) {
            outgoing.end(now, route(routes, entropy, outgoing.from, outgoing.to));
        }
        Ok(())
    }

    /// One side lets go of its connection.
    pub(super) fn close(&self, of: &StreamId) {
        let now = self.0.time.elapsed();
        let mut state = self.0.state.lock();
        let State { routes, connections, entropy, .. } = &mut *state;
        let Some([outgoing, incoming]) = connections.get_mut(&of.number).map(|pair| of.side.order(pair))
        else {
            return;
        };
        outgoing.end(now, route(routes, entropy, outgoing.from, outgoing.to));
        incoming.abandon();
        if outgoing.is_unread {
            connections.remove(&of.number);
        }
    }
}

enum Answer {
    Open(SimStream),
    Refused,
    Nothing,
}

/// Which end of which connection, and whose.
#[derive(Debug)]
pub(super) struct StreamId {
    pub(super) number: u64,
    pub(super) side: Side,
    pub(super) host: HostId,
    pub(super) life: u64,
}

impl State {
    fn host(&self, id: HostId) -> &Host {
        self.hosts.get(&id).expect("a host is never forgotten")
    }

    fn find(&self, name: &str) -> Option<HostId> {
        self.hosts.iter().find(|(_, host)| host.name == name).map(|(id, _)| *id)
    }

    fn alive(&self, host: HostId, life: u64) -> io::Result<()> {
        if self.host(host).life == life {
            return Ok(());
        }
        Err(io::Error::new(ErrorKind::ConnectionAborted, "the process that held this was killed"))
    }

    fn may_connect(&self, host: HostId) -> io::Result<()> {
        if self.exhausted.contains(&host) { Err(Errno::MFILE.into()) } else { Ok(()) }
    }

    fn free_port(&mut self, host: HostId) -> u16 {
        let of = self.hosts.get_mut(&host).expect("a host is never forgotten");
        let port = of.next_port;
        of.next_port = port.checked_add(1).unwrap_or(FIRST_FREE_PORT);
        port
    }

    /// Which host `address` means, seen from `here`, and which port. `None` is any address of `here`.
    fn resolve(&self, here: HostId, address: &str) -> io::Result<(Option<HostId>, u16)> {
        let odd = || io::Error::new(ErrorKind::InvalidInput, "an address is host:port");
        let (name, port) = address.rsplit_once(':').ok_or_else(odd)?;
        let port = port.parse().map_err(|_| odd())?;
        let Ok(ip) = name.parse::<IpAddr>() else {
            let unknown = || io::Error::new(ErrorKind::NotFound, format!("no host is named {name}"));
            return Ok((Some(self.find(name).ok_or_else(unknown)?), port));
        };
        if ip.is_unspecified() {
            return Ok((None, port));
        }
        if ip.is_loopback() {
            return Ok((Some(here), port));
        }
        let there = self.hosts.keys().find(|host| host.ip() == ip);
        there.map(|host| (Some(*host), port)).ok_or_else(|| ErrorKind::AddrNotAvailable.into())
    }

    /// The two directions as `of` sees them: outgoing, incoming.
    fn ends(&mut self, of: &StreamId) -> Option<[&mut Pipe; 2]> {
        self.connections.get_mut(&of.number).map(|pair| of.side.order(pair))
    }
}

/// The way from one host to another, with dice of its own.
fn route<'a>(
    routes: &'a mut BTreeMap<(HostId, HostId), Route>,
    entropy: &Entropy,
    from: HostId,
    to: HostId,
) -> &'a mut Route {
    routes
        .entry((from, to))
        .or_insert_with(|| Route::new(entropy.child(&format!("link {} to {}", from.0, to.0))))
}

fn pipes(
    connections: &mut BTreeMap<u64, [Pipe; 2]>,
    from: HostId,
    to: HostId,
) -> impl Iterator<Item = &mut Pipe> {
    connections.values_mut().flatten().filter(move |pipe| (pipe.from, pipe.to) == (from, to))
}
