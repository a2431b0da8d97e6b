//! `||` as a function, so that it can be counted like the others.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::kernels::concat_elements::concat_elements_utf8;
use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Two texts after another; nothing if one of them is nothing.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Joined {
    signature: Signature,
}

pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Joined { signature: Signature::user_defined(Volatility::Immutable) }))
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &str {
        "||"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types.iter().find(|given| given.is_binary() || given.is_nested()) {
            Some(given) => plan_err!("|| puts texts together, and one side is {given}"),
            None => Ok(vec![DataType::Utf8; types.len()]),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts = ColumnarValue::values_to_arrays(&args.args)?;
        let both = concat_elements_utf8(texts[0].as_string::<i32>(), texts[1].as_string::<i32>())?;
        Ok(ColumnarValue::Array(Arc::new(both)))
    }
}
