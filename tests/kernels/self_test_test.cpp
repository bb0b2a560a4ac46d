// The known answers must be right, or every device would be refused: all backends here have to give them.
#include "kernels/self_test.h"

#include "tests/kernels/support.h"

namespace tracer {
namespace {

using SelfTest = test::OnEveryIsa;

TEST_P(SelfTest, Passes) { ASSERT_OK(self_test(*backend)); }

TRACER_ON_EVERY_ISA(SelfTest);

}  // namespace
}  // namespace tracer
