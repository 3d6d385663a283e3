//! Bodies of messages in both directions, without a box for the common ones, and reading one as a whole under a limit.
//!
//! A body over the limit is read on and thrown away for a moment, so that a client that is still writing sees the answer and not a
//! broken connection.

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError};
use hyper::body::Incoming;
use proa_host::middleware::{Body, BoxError};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The most that is thrown away of a body over the limit, and for how long.
const WASTE: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_millis(500);

/// A body that is written.
#[derive(Default)]
pub enum Payload {
    #[default]
    Empty,
    Full(Bytes),
    Stream(Body),
}

impl Payload {
    /// What arrives, to be passed on.
    pub fn from_wire(body: Incoming) -> Self {
        Self::Stream(Inbound::Wire(body).boxed_unsync())
    }

    /// The length, as far as it is known.
    pub fn length(&self) -> u64 {
        self.size_hint().lower()
    }

    /// As a body of the middleware's.
    pub fn boxed(self) -> Body {
        match self {
            Self::Stream(body) => body,
            other => other.boxed_unsync(),
        }
    }
}

impl http_body::Body for Payload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// A body that is read.
pub enum Inbound {
    /// From a connection.
    Wire(Incoming),
    /// Through middleware, or made here.
    Host(Body),
}

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Wire(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Host(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Wire(body) => body.is_end_stream(),
            Self::Host(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Wire(body) => body.size_hint(),
            Self::Host(body) => body.size_hint(),
        }
    }
}

/// Why a body could not be read as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("{0}")]
    Broken(String),
}

/// The whole body. One that arrives in one piece is not copied.
pub async fn read<B>(mut body: B, limit: usize) -> Result<Bytes, ReadError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = body.size_hint();
    if announced.lower() > limit as u64 {
        waste(&mut body).await;
        return Err(ReadError::TooLarge(limit));
    }
    let first = match piece(&mut body, limit).await? {
        None => return Ok(Bytes::new()),
        Some(first) => first,
    };
    if first.len() <= limit && (body.is_end_stream() || announced.exact() == Some(first.len() as u64)) {
        return Ok(first);
    }
    let expected = announced.exact().map_or(first.len() * 2, |length| length as usize);
    let mut whole = BytesMut::with_capacity(expected.min(limit));
    let mut next = Some(first);
    while let Some(piece_) = next {
        if whole.len() + piece_.len() > limit {
            waste(&mut body).await;
            return Err(ReadError::TooLarge(limit));
        }
        whole.extend_from_slice(&piece_);
        next = piece(&mut body, limit).await?;
    }
    Ok(whole.freeze())
}

async fn piece<B>(body: &mut B, limit: usize) -> Result<Option<Bytes>, ReadError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| {
            let error: BoxError = e.into();
            if error.is::<LengthLimitError>() { ReadError::TooLarge(limit) } else { ReadError::Broken(error.to_string()) }
        })?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

async fn waste<B>(body: &mut B)
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let reading = async {
        let mut wasted = 0;
        while let Ok(Some(data)) = piece(body, WASTE).await {
            wasted += data.len();
            if wasted > WASTE {
                return;
            }
        }
    };
    // Whoever writes slower than that has had time to see the answer coming.
    let _ = tokio::time::timeout(PATIENCE, reading).await;
}
