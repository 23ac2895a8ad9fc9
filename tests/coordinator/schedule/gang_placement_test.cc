#include "coordinator/schedule/gang_placement.h"

#include <gtest/gtest.h>

#include "tests/coordinator/schedule/test_cluster.h"

namespace longspan::coordinator {
namespace {

JobDemand Ranks(int ranks) {
  JobDemand demand;
  demand.ranks = ranks;
  return demand;
}

TEST(GangPlacementTest, WholeGangOrNothing) {
  const Workers workers = Cluster({MakeWorker("a", 1), MakeWorker("b", 1)});
  EXPECT_TRUE(PlaceGang(Ranks(2), workers).has_value());
  EXPECT_FALSE(PlaceGang(Ranks(3), workers).has_value());
}

TEST(GangPlacementTest, RanksAreInOrder) {
  const auto placements =
      PlaceGang(Ranks(3), Cluster({MakeWorker("a", 2), MakeWorker("b", 2)}));
  const std::vector<Placement> expected = {
      {0, "a", 0}, {1, "a", 1}, {2, "b", 0}};
  EXPECT_EQ(*placements, expected);
}

TEST(GangPlacementTest, PrefersOneWorkerThatJustFits) {
  const Workers workers =
      Cluster({MakeWorker("a", 1), MakeWorker("b", 8), MakeWorker("c", 2)});
  const auto placements = PlaceGang(Ranks(2), workers);
  EXPECT_EQ((*placements)[0].worker, "c");
  EXPECT_EQ((*placements)[1].worker, "c");
}

TEST(GangPlacementTest, AReplicaStaysOnOneWorkerWhereItCan) {
  const Workers workers =
      Cluster({MakeWorker("a", 3), MakeWorker("b", 3), MakeWorker("c", 2)});
  JobDemand demand = Ranks(8);
  demand.replica_ranks = 2;
  const std::vector<Placement> expected = {
      {0, "a", 0}, {1, "a", 1}, {2, "b", 0}, {3, "b", 1},
      {4, "c", 0}, {5, "c", 1}, {6, "a", 2}, {7, "b", 2}};
  EXPECT_EQ(*PlaceGang(demand, workers), expected);
}

TEST(GangPlacementTest, SkipsUsedSlotsAndUnreadyWorkers) {
  Workers workers = Cluster({MakeWorker("a", 2), MakeWorker("b", 1),
                             MakeWorker("c", 1), MakeWorker("d", 1)});
  Occupy(workers["a"], 0);
  workers["b"].state = WorkerState::kLost;
  workers["c"].state = WorkerState::kDraining;
  workers["d"].connection = 0;
  const auto placements = PlaceGang(Ranks(1), workers);
  EXPECT_EQ((*placements)[0], (Placement{0, "a", 1}));
  EXPECT_FALSE(PlaceGang(Ranks(2), workers).has_value());
}

TEST(GangPlacementTest, GangsDoNotMixBuilds) {
  const Workers workers =
      Cluster({MakeWorker("a", 1, "cpu", "b1"), MakeWorker("b", 1, "cpu", "b2"),
               MakeWorker("c", 1, "cpu", "b2")});
  const auto placements = PlaceGang(Ranks(2), workers);
  EXPECT_EQ((*placements)[0].worker, "b");
  EXPECT_EQ((*placements)[1].worker, "c");
  EXPECT_FALSE(PlaceGang(Ranks(3), workers).has_value());
  EXPECT_EQ(CapacityFor(Ranks(3), workers).total, 3);
  EXPECT_EQ(CapacityFor(Ranks(3), workers).largest_group, 2);
}

TEST(GangPlacementTest, CapacityCountsWhatMayComeBack) {
  Workers workers = Cluster({MakeWorker("a", 2), MakeWorker("b", 2)});
  Occupy(workers["a"], 0);
  workers["b"].state = WorkerState::kLost;
  const Capacity capacity = CapacityFor(Ranks(1), workers);
  EXPECT_EQ(capacity.free, 1);
  EXPECT_EQ(capacity.total, 4);
}

}  // namespace
}  // namespace longspan::coordinator
