//! A cluster keeps the contract of a store, whichever node is asked.

mod cluster;

use cluster::anywhere;

mod of_one_node {
    abide_store_suite::store_suite!(super::anywhere(1));
}

mod of_two_nodes {
    abide_store_suite::store_suite!(super::anywhere(2));
}

mod of_three_nodes {
    abide_store_suite::store_suite!(super::anywhere(3));
}
