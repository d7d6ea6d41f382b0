// What the reference local node costs, used or not: purchase over its life, power, and care.
//
// A replay pays for it until its end or its last finish, whichever is later; dollars per million
// tokens are all costs over all tokens, in and out, of requests that were answered. Pure values;
// any thread.
#pragma once

namespace spillway::simulate {

struct NodeCost {
  double purchase_usd = 15'000.0;
  double life_years = 3.0;
  double kilowatts = 0.9;
  double power_usage_effectiveness = 1.3;
  double usd_per_kilowatt_hour = 0.12;
  double care_a_year = 0.1;  // Of the purchase.

  // $0.88 with the above.
  double usd_per_hour() const {
    constexpr double kHoursAYear = 8'760.0;
    const double capital = purchase_usd / (life_years * kHoursAYear);
    const double power = kilowatts * power_usage_effectiveness * usd_per_kilowatt_hour;
    return capital + power + care_a_year * purchase_usd / kHoursAYear;
  }
};

}  // namespace spillway::simulate
