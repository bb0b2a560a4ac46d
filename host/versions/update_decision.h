// What became of the challenger that waited when an update began.
#pragma once

namespace tracer {

enum class UpdateDecision {
  kNone,      // none waited
  kWaiting,   // the champion stays, and the challenger waits for more audit rows
  kDeployed,  // the challenger is the champion
  kDropped,   // the champion stays
};

inline const char* to_string(UpdateDecision decision) {
  constexpr const char* kNames[] = {"none", "waiting", "deployed", "dropped"};
  return kNames[static_cast<int>(decision)];
}

}  // namespace tracer
