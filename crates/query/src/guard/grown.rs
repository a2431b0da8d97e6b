//! A function under count: what it makes is reserved before it is made, and until it is dropped.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, make_array};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};

use super::growth::Growth;
use super::{ROW_BYTES_MAX, bytes};

/// Bytes that one go may make at most.
const BYTES_AT_ONCE: usize = 8 << 20;
/// A constant is written out once per row of every batch.
const CONSTANT_BYTES_MAX: usize = 64 << 10;

/// A function whose result may be longer than what it is given.
#[derive(Debug)]
pub(super) struct Grown {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    pool: Arc<dyn MemoryPool>,
}

impl Grown {
    pub(super) fn new(inner: Arc<ScalarUDF>, growth: Growth, pool: Arc<dyn MemoryPool>) -> Grown {
        Grown { inner, growth, pool }
    }

    /// The most bytes that the result may have at a row.
    fn bytes(&self, args: &[ColumnarValue], scalars: &[usize], row: usize) -> usize {
        let of = |(arg, scalar): (&ColumnarValue, &usize)| match arg {
            ColumnarValue::Array(array) => bytes::of_value(array, row),
            ColumnarValue::Scalar(_) => *scalar,
        };
        let mut each = args.iter().zip(scalars).map(of);
        match self.growth {
            Growth::Times(times) => each.sum::<usize>().saturating_mul(times),
            Growth::Product => {
                let first = each.next().unwrap_or(0);
                first.saturating_mul(each.fold(bytes::VALUE_BYTES, usize::saturating_add))
            }
        }
    }

    /// The function over some rows, its result reserved as long as it lives.
    fn piece(&self, args: &ScalarFunctionArgs, from: usize, rows: usize, bytes: usize) -> Result<ArrayRef> {
        let reservation = MemoryConsumer::new("functions").register(&self.pool);
        reservation.try_grow(bytes)?;
        let slice = |arg: &ColumnarValue| match arg {
            ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
            scalar => scalar.clone(),
        };
        let sliced = args.args.iter().map(slice).collect();
        let args = ScalarFunctionArgs { args: sliced, number_rows: rows, ..args.clone() };
        let made = self.inner.invoke_with_args(args)?.into_array(rows)?;
        reserved(made, reservation)
    }

    fn constant(&self, args: ScalarFunctionArgs, scalars: &[usize]) -> Result<ColumnarValue> {
        let bytes = self.bytes(&args.args, scalars, 0);
        if bytes > ROW_BYTES_MAX {
            return self.too_long(bytes);
        }
        let made = self.piece(&args, 0, 1, bytes)?;
        let bytes = bytes::of_column(&made);
        match bytes > CONSTANT_BYTES_MAX {
            true => exec_err!(
                "{} makes a constant of {bytes} bytes, and may make one of {CONSTANT_BYTES_MAX}; write it shorter",
                self.name()
            ),
            false => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?)),
        }
    }

    fn too_long<T>(&self, bytes: usize) -> Result<T> {
        exec_err!(
            "{} may make a value of {bytes} bytes from what it is given, and may make one of {ROW_BYTES_MAX}; give it \
             shorter values, for example by substr or a condition on payload_bytes",
            self.name()
        )
    }
}

/// The array, with its reservation shrunk to what it takes, and given back when the last who uses it drops it.
fn reserved(made: ArrayRef, reservation: MemoryReservation) -> Result<ArrayRef> {
    let bytes = made.get_buffer_memory_size();
    if bytes > reservation.size() {
        reservation.try_grow(bytes - reservation.size())?;
    } else {
        reservation.shrink(reservation.size() - bytes);
    }
    let data = made.to_data();
    let Some(first) = data.buffers().first().cloned() else { return Ok(made) };
    let mut buffers: Vec<Buffer> = data.buffers().to_vec();
    buffers[0] = Buffer::from(::bytes::Bytes::from_owner(Owned { buffer: first, _reservation: reservation }));
    let data: ArrayData = data.into_builder().buffers(buffers).build()?;
    Ok(make_array(data))
}

/// Bytes and what was reserved for them.
struct Owned {
    buffer: Buffer,
    _reservation: MemoryReservation,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_slice()
    }
}

impl PartialEq for Grown {
    fn eq(&self, other: &Grown) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Grown {}

impl Hash for Grown {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Grown {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = |arg: &ColumnarValue| match arg {
            ColumnarValue::Array(_) => Ok(0),
            ColumnarValue::Scalar(value) => {
                Ok::<_, datafusion::common::DataFusionError>(bytes::of_column(&value.to_array()?))
            }
        };
        let scalars: Vec<usize> = args.args.iter().map(scalar).collect::<Result<_>>()?;
        if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
            return self.constant(args, &scalars);
        }
        let (mut pieces, mut from, mut sum) = (Vec::new(), 0, 0);
        for row in 0..args.number_rows {
            let bytes = self.bytes(&args.args, &scalars, row);
            if bytes > ROW_BYTES_MAX {
                return self.too_long(bytes);
            }
            if row > from && sum + bytes > BYTES_AT_ONCE {
                pieces.push(self.piece(&args, from, row - from, sum)?);
                (from, sum) = (row, 0);
            }
            sum += bytes;
        }
        pieces.push(self.piece(&args, from, args.number_rows - from, sum)?);
        if let [piece] = pieces.as_slice() {
            return Ok(ColumnarValue::Array(piece.clone()));
        }
        let reservation = MemoryConsumer::new("functions").register(&self.pool);
        reservation.try_grow(pieces.iter().map(|piece| piece.get_buffer_memory_size()).sum())?;
        let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(reserved(arrow::compute::concat(&pieces)?, reservation)?))
    }
}
