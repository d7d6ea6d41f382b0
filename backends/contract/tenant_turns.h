// Work that several tenants ask for, in turns: of each one thing is done at a time, and who has had
// a turn stands behind the others. Of lists of orders that say whose they are (`tenant`) and
// whether they are `begun`; the caller's lock guards them.
#pragma once

#include <algorithm>
#include <list>
#include <string>

namespace spillway {

// What may be begun now; end: nothing.
template <class Order>
typename std::list<Order>::iterator next_in_turn(std::list<Order>& orders) {
  return std::ranges::find_if(orders, [&](const Order& order) {
    const auto is_served = [&](const Order& other) {
      return other.begun && other.tenant == order.tenant;
    };
    return !order.begun && std::ranges::none_of(orders, is_served);
  });
}

// What the tenant asked for and is not begun goes behind all else, in its order.
template <class Order>
void let_others_first(std::list<Order>& orders, const std::string& tenant) {
  std::list<Order> later;
  for (auto at = orders.begin(); at != orders.end();) {
    const auto order = at++;
    if (!order->begun && order->tenant == tenant) later.splice(later.end(), orders, order);
  }
  orders.splice(orders.end(), later);
}

}  // namespace spillway
